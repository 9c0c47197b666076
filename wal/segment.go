package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// segment is one file of the log.
type segment struct {
	seq   uint64 // first sequence, which is also its name
	first Offset // offset of its first record
	gen   generation
	// size is where reading ends: the file's size, or the durable position of the active segment, or
	// the last durable byte of a segment whose later bytes failed to be written.
	size int64
}

func segmentName(seq uint64) string { return fmt.Sprintf("%020d", seq) }

func (s *segment) name() string { return segmentName(s.seq) }

// listSegments returns the segments of dir by sequence, with size only. Leftovers of the library's own
// truncation, which the log never uses, are set aside in repairDir.
func listSegments(dir, repairDir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list log directory: %w", err)
	}
	var segs []segment
	for _, e := range entries { // ReadDir sorts by name, and names are of fixed width
		name := e.Name()
		if e.IsDir() || len(name) < 20 {
			continue
		}
		seq, err := strconv.ParseUint(name[:20], 10, 64)
		if err != nil || seq == 0 {
			continue
		}
		switch rest := name[20:]; {
		case rest == "":
		case repairDir != "" && (strings.HasSuffix(rest, "TEMP") || rest == ".START" || rest == ".END"):
			if _, err := moveAside(filepath.Join(dir, name), repairDir); err != nil {
				return nil, err
			}
			continue
		default:
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // reclaimed meanwhile; only a reader beside a running service sees this
		}
		if err != nil {
			return nil, fmt.Errorf("stat segment %s: %w", name, err)
		}
		segs = append(segs, segment{seq: seq, size: info.Size()})
	}
	return segs, nil
}

// readFirstHeader reads the header of the first frame of a segment.
func readFirstHeader(dir string, seq uint64) (frameHeader, error) {
	f, err := os.Open(filepath.Join(dir, segmentName(seq)))
	if err != nil {
		return frameHeader{}, fmt.Errorf("open segment: %w", err)
	}
	defer f.Close()
	var b [maxEntryPrefix + frameHeaderBytes]byte
	n, err := io.ReadFull(f, b[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return frameHeader{}, fmt.Errorf("read segment: %w", err)
	}
	h, _, err := decodeEntry(b[:n], 1<<62)
	if err == nil && h.seq != seq {
		err = errSequence
	}
	return h, err
}

// readSegment reads a whole segment from the disk and not from the page cache, which after a failed
// fsync may hold what the disk does not. What the disk cannot read comes as zeros, and the segment is not whole then.
func readSegment(dir string, seq uint64) (b []byte, whole bool, err error) {
	f, err := os.Open(filepath.Join(dir, segmentName(seq)))
	if err != nil {
		return nil, false, fmt.Errorf("open segment: %w", err)
	}
	defer f.Close()
	// A bad sector under bytes that were never synced is no reason to stay down: nothing is written to this
	// file again, and what cannot be read shows itself below.
	if err := f.Sync(); err != nil && !errors.Is(err, unix.EIO) {
		return nil, false, fmt.Errorf("sync segment %s: %w", segmentName(seq), err)
	}
	dropCache(f)
	info, err := f.Stat()
	if err != nil {
		return nil, false, fmt.Errorf("stat segment: %w", err)
	}
	b = make([]byte, info.Size())
	if whole, err = readTolerant(f, b, 0); err != nil {
		return nil, false, fmt.Errorf("read segment %s: %w", segmentName(seq), err)
	}
	return b, whole, nil
}

// readTolerant fills b from position at of f. What the disk cannot read, and what lies behind the end of
// the file, comes as zeros, which no checksum accepts: a bad sector is treated as the damage that it is. whole
// says that there was none.
func readTolerant(f *os.File, b []byte, at int64) (whole bool, err error) {
	n, err := f.ReadAt(b, at)
	if err == nil {
		return true, nil
	}
	if errors.Is(err, io.EOF) {
		clear(b[n:])
		return true, nil
	}
	if !errors.Is(err, unix.EIO) {
		return false, err
	}
	const sector = 512
	for i := 0; i < len(b); i += sector {
		piece := b[i:min(i+sector, len(b))]
		if n, err := f.ReadAt(piece, at+int64(i)); err != nil {
			clear(piece[n:])
		}
	}
	return false, nil
}

// createSegment makes an empty segment. The caller syncs the directory.
func createSegment(dir string, seq uint64) error {
	f, err := os.OpenFile(filepath.Join(dir, segmentName(seq)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("create segment: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("close segment: %w", err)
	}
	return nil
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// makeDir makes a directory and its name durable.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	return syncDir(filepath.Dir(dir))
}

// moveAside renames a file into repairDir and returns its name there. It needs no free space.
func moveAside(path, repairDir string) (kept string, err error) {
	if err := makeDir(repairDir); err != nil {
		return "", err
	}
	dst := filepath.Join(repairDir, filepath.Base(path))
	for i := 1; ; i++ {
		if _, err := os.Lstat(dst); errors.Is(err, fs.ErrNotExist) {
			break
		}
		dst = filepath.Join(repairDir, fmt.Sprintf("%s.%d", filepath.Base(path), i))
	}
	if err := os.Rename(path, dst); err != nil {
		return "", fmt.Errorf("set file aside: %w", err)
	}
	if err := syncDir(repairDir); err != nil {
		return "", err
	}
	return filepath.Base(dst), syncDir(filepath.Dir(path))
}

// keeping lets one reader at a time keep bytes: several may meet the same damage.
var keeping sync.Mutex

// keepBytes writes b to a file of the given name in repairDir, durably, and returns the name that it got: several logs share
// the directory, so that other bytes may have taken it. Bytes that were kept before are left alone.
func keepBytes(repairDir, name string, b []byte) (kept string, err error) {
	keeping.Lock()
	defer keeping.Unlock()
	kept = name
	for i := 1; ; i++ {
		there, err := os.ReadFile(filepath.Join(repairDir, kept))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil && !errors.Is(err, unix.EIO) && !errors.Is(err, fs.ErrPermission) { // who cannot look takes another name
			return "", fmt.Errorf("keep damaged bytes: %w", err)
		}
		if err == nil && bytes.Equal(there, b) {
			return kept, nil
		}
		kept = fmt.Sprintf("%s.%d", name, i)
	}
	if err := makeDir(repairDir); err != nil {
		return "", err
	}
	path := filepath.Join(repairDir, kept)
	temp := path + ".temp"
	if err := writeSynced(temp, b); err != nil {
		os.Remove(temp) // best effort: on a full disk the rest of it is in the way
		return "", fmt.Errorf("keep damaged bytes: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		return "", fmt.Errorf("keep damaged bytes: %w", err)
	}
	return kept, syncDir(repairDir)
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
