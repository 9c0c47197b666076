package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// sendState is what a later run needs to go on with a file: how far its events are acknowledged, and
// how to tell that it is still the same file. It is written after each acknowledged batch, to a
// temporary file that is synced and renamed, so that a crash leaves the old state or the new one. A
// kill between acknowledgement and state sends that batch once more.
type sendState struct {
	Version    int          `json:"version"`
	Path       string       `json:"path"`
	Stream     string       `json:"stream"`
	Format     sourceFormat `json:"format"`
	Size       int64        `json:"size"`
	Inode      uint64       `json:"inode"`
	Modified   time.Time    `json:"modified"`
	HeadBytes  int64        `json:"head_bytes"` // how much of the file's begin HeadSHA256 covers
	HeadSHA256 string       `json:"head_sha256"`
	Position   position     `json:"position"`
	Done       bool         `json:"done,omitempty"` // every event was sent; kept with --keep or after refusals
	Counts     sendCounts   `json:"counts"`         // of all runs together

	file string // where the state lives; "" when nowhere can be written
}

const (
	sendStateVersion = 1
	headHashBytes    = 64 << 10
)

// statePaths lists where the state of a source may be: beside it, else in the user's state directory.
func statePaths(source, stateHome string) ([]string, error) {
	abs, err := filepath.Abs(source)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", source, err)
	}
	paths := []string{filepath.Join(filepath.Dir(abs), "."+filepath.Base(abs)+".weir-send")}
	if stateHome != "" {
		sum := sha256.Sum256([]byte(abs))
		paths = append(paths, filepath.Join(stateHome, "weir", "send", hex.EncodeToString(sum[:16])+".json"))
	}
	return paths, nil
}

// newState describes the file as it is now, at its begin.
func newState(source string, f *os.File, stream string, format sourceFormat) (*sendState, error) {
	abs, err := filepath.Abs(source)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", source, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", source, err)
	}
	s := &sendState{Version: sendStateVersion, Path: abs, Stream: stream, Format: format, Size: info.Size(), Modified: info.ModTime().UTC()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.Inode = sys.Ino
	}
	s.HeadBytes = min(s.Size, headHashBytes)
	s.HeadSHA256, err = headHash(f, s.HeadBytes)
	return s, err
}

// unchanged reports, once c is read to its end, whether the file is still the one that the state
// describes, and no byte was added that has not been read.
func (s *sendState) unchanged(c *content) error {
	info, err := c.file.Stat()
	if err != nil {
		return fmt.Errorf("look at %s: %w", s.Path, err)
	}
	if info.Size() != s.Size || c.raw.n.Load() != s.Size || !info.ModTime().Equal(s.Modified) {
		return errors.New("it was changed while it was sent, and stays; the next run sends what is new. A program must not write to a spool file under its final name")
	}
	return nil
}

func headHash(f *os.File, n int64) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, n)); err != nil {
		return "", fmt.Errorf("read the first bytes: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// loadState finds the state of an earlier run; nil when there is none. A state that cannot be read is
// an error: to begin again in silence would send events twice.
func loadState(paths []string) (*sendState, error) {
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read state: %w", err)
		}
		s := &sendState{}
		if err := json.Unmarshal(text, s); err != nil {
			return nil, fmt.Errorf("state file %s is damaged; --restart begins again without it: %w", path, err)
		}
		if s.Version != sendStateVersion {
			return nil, fmt.Errorf("state file %s was written by another version of weir; --restart begins again without it", path)
		}
		s.file = path
		return s, nil
	}
	return nil, nil
}

// sameContent reports whether what an earlier run sent still stands at the begin of the file that now
// describes. A file that has only grown is the same; one written anew under the same name is not.
func (s *sendState) sameContent(now *sendState, c *content) (bool, error) {
	identical := now.Size == s.Size && now.Modified.Equal(s.Modified)
	switch {
	case !identical && now.Inode != s.Inode,
		!identical && s.Done && now.Size <= s.Size,
		now.Size < s.HeadBytes,
		!c.compressed && now.Size < s.Position.Bytes:
		return false, nil
	}
	hash, err := headHash(c.file, s.HeadBytes)
	return hash == s.HeadSHA256, err
}

// save writes the state durably to the place it was loaded from, or to the first that takes it.
func (s *sendState) save(paths []string) error {
	if s.file != "" {
		return s.write(s.file)
	}
	var failures []error
	for _, path := range paths {
		err := s.write(path)
		if err == nil {
			s.file = path
			return nil
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

func (s *sendState) write(path string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	if filepath.Dir(path) != filepath.Dir(s.Path) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("make state directory: %w", err)
		}
	}
	if err := replaceFile(path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// removeState forgets the state, wherever it is.
func removeState(paths []string) error {
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove state: %w", err)
		}
	}
	return nil
}
