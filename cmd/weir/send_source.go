package main

import (
	"bufio"
	"bytes"
	"context"

	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// sendSource is one thing to send: a file, a file of a spool directory, or standard input.
type sendSource struct {
	path  string // "-" for standard input
	spool bool   // from a directory: removed when every event of it is acknowledged
	size  int64  // bytes on disk; 0 when unknown
}

// name is how messages call the source.
func (s sendSource) name() string {
	if s.path == "-" {
		return "standard input"
	}
	return s.path
}

// spoolSuffixes are the names that a spool directory's files may end in, before a suffix of compression.
var spoolSuffixes = []string{".ndjson", ".jsonl", ".json"}

var textSuffixes = []string{".log", ".txt"}

// listSources resolves the arguments in their order; a directory's files come in the order of their
// names. Files that begin with a dot are not looked at, so that a writer can prepare one there.
func listSources(args []string, lines bool) ([]sendSource, error) {
	var sources []sendSource
	for _, arg := range args {
		if arg == "-" {
			sources = append(sources, sendSource{path: "-"})
			continue
		}
		info, err := os.Stat(arg)
		if err != nil {
			return nil, fmt.Errorf("%s: %s", arg, reasonOf(err))
		}
		if !info.IsDir() {
			sources = append(sources, sendSource{path: arg, size: regularSize(info)})
			continue
		}
		spooled, err := listSpool(arg, lines)
		if err != nil {
			return nil, err
		}
		sources = append(sources, spooled...)
	}
	return sources, nil
}

func listSpool(dir string, lines bool) ([]sendSource, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("%s: %s", dir, reasonOf(err))
	}
	var sources []sendSource
	for _, e := range entries {
		if !e.Type().IsRegular() || !isSpoolName(e.Name(), lines) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone since the directory was read
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %s", dir, reasonOf(err))
		}
		sources = append(sources, sendSource{path: filepath.Join(dir, e.Name()), spool: true, size: info.Size()})
	}
	return sources, nil
}

func isSpoolName(name string, lines bool) bool {
	if strings.HasPrefix(name, ".") {
		return false
	}
	for _, suffix := range []string{".gz", ".zst"} {
		name = strings.TrimSuffix(name, suffix)
	}
	suffixes := spoolSuffixes
	if lines {
		suffixes = append(slices.Clone(suffixes), textSuffixes...)
	}
	return slices.Contains(suffixes, filepath.Ext(name))
}

func regularSize(info fs.FileInfo) int64 {
	if info.Mode().IsRegular() {
		return info.Size()
	}
	return 0
}

// content is an opened source: decompressed bytes, and how many raw bytes were read for them.
type content struct {
	io.Reader
	file       *os.File // nil for standard input
	regular    bool
	compressed bool
	raw        *countingReader
	closers    []func()
}

type countingReader struct {
	r io.Reader
	n atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// open opens the source and sees by its first bytes whether it is compressed. Reading from a pipe or
// a terminal fails once ctx ends.
func (s sendSource) open(ctx context.Context, stdin io.Reader) (*content, error) {
	c := &content{}
	raw := stdin
	if s.path != "-" {
		f, err := os.Open(s.path)
		if err != nil {
			return nil, errors.New(reasonOf(err))
		}
		info, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		c.file, c.regular = f, info.Mode().IsRegular()
		c.closers = append(c.closers, func() { _ = f.Close() }) // read only
		raw = f
	}
	if !c.regular {
		raw = c.interruptible(ctx, raw)
	}
	c.raw = &countingReader{r: raw}
	buffered := bufio.NewReaderSize(c.raw, 64<<10)
	c.Reader = buffered
	head, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		c.close()
		return nil, errors.New(reasonOf(err))
	}
	if err := c.decompress(buffered, head); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// interruptible makes a reader whose Read returns when ctx ends, although the one below may wait for a
// pipe's writer for ever. The goroutine that is left in that Read ends with the process.
func (c *content) interruptible(ctx context.Context, raw io.Reader) io.Reader {
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, raw)
		_ = w.CloseWithError(err) // nil becomes io.EOF; it never fails
	}()
	stop := context.AfterFunc(ctx, func() { _ = r.CloseWithError(context.Cause(ctx)) })
	c.closers = append(c.closers, func() {
		stop()
		_ = r.Close() // releases the writer
	})
	return r
}

// maxZstdWindow bounds the memory that a zstd file may ask for.
const maxZstdWindow = 128 << 20

func (c *content) decompress(r io.Reader, head []byte) error {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return fmt.Errorf("read gzip: %w", err)
		}
		c.Reader, c.compressed = z, true
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return fmt.Errorf("read zstd: %w", err)
		}
		c.closers = append(c.closers, z.Close)
		c.Reader, c.compressed = z, true
	}
	return nil
}

// seek moves to a place in the decompressed content. A compressed file is read up to there.
func (c *content) seek(pos position) error {
	if pos.Bytes == 0 {
		return nil
	}
	if c.compressed {
		if _, err := io.CopyN(io.Discard, c.Reader, pos.Bytes); err != nil {
			return fmt.Errorf("go to byte %d: %w", pos.Bytes, err)
		}
		return nil
	}
	if _, err := c.file.Seek(pos.Bytes, io.SeekStart); err != nil {
		return fmt.Errorf("go to byte %d: %w", pos.Bytes, err)
	}
	c.raw.n.Store(pos.Bytes)
	c.Reader = c.raw
	return nil
}

func (c *content) close() {
	for _, f := range slices.Backward(c.closers) {
		f()
	}
}
