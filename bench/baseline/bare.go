package baseline

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"

	"github.com/valyala/fasthttp"
)

// Bare appends bodies to a file by group commit. Make it with OpenBare.
type Bare struct {
	file *os.File
	sync func(*os.File) error // fdatasync; another in tests

	mu     sync.Mutex
	queue  *group // guarded by mu; what the next commit takes
	closed bool   // guarded by mu
	wake   chan struct{}
	done   chan struct{}
}

// group is the bodies that share one write and one fdatasync.
type group struct {
	bytes     []byte
	committed chan struct{} // closed when err is decided
	err       error
}

// headBytes stand before each body: length and CRC-32C, little endian.
const headBytes = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errClosed = errors.New("closed")

// OpenBare creates the file at path, which must not exist, and starts the committer.
func OpenBare(path string) (*Bare, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create file: %w", err)
	}
	b := newBare(file, Datasync)
	go b.run()
	return b, nil
}

func newBare(file *os.File, sync func(*os.File) error) *Bare {
	return &Bare{file: file, sync: sync, queue: newGroup(nil), wake: make(chan struct{}, 1), done: make(chan struct{})}
}

func newGroup(buffer []byte) *group {
	return &group{bytes: buffer, committed: make(chan struct{})}
}

// Append returns nil when body is on disk. It does not keep body.
func (b *Bare) Append(body []byte) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return errClosed
	}
	g := b.queue
	first := len(g.bytes) == 0
	g.bytes = binary.LittleEndian.AppendUint32(g.bytes, uint32(len(body)))
	g.bytes = binary.LittleEndian.AppendUint32(g.bytes, crc32.Checksum(body, castagnoli))
	g.bytes = append(g.bytes, body...)
	b.mu.Unlock()
	if first {
		b.signal()
	}
	<-g.committed
	return g.err
}

func (b *Bare) signal() {
	select {
	case b.wake <- struct{}{}:
	default: // it is awake
	}
}

// run commits groups until Close. Two buffers take turns: one fills while the other is written.
func (b *Bare) run() {
	defer close(b.done)
	var spare []byte
	for range b.wake {
		g, closed := b.take(spare)
		for ; g != nil; g, closed = b.take(spare) {
			g.err = b.commit(g.bytes)
			spare = g.bytes // nobody reads it any more
			close(g.committed)
		}
		if closed {
			return
		}
	}
}

// take returns the group that waits, or nil, and puts an empty one in its place.
func (b *Bare) take(buffer []byte) (g *group, closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue.bytes) == 0 {
		return nil, b.closed
	}
	g, b.queue = b.queue, newGroup(buffer[:0])
	return g, b.closed
}

func (b *Bare) commit(p []byte) error {
	if _, err := b.file.Write(p); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := b.sync(b.file); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// Close commits what waits, ends the committer and closes the file. Later appends fail.
func (b *Bare) Close() error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.signal()
	<-b.done
	return b.file.Close()
}

// Handler returns a handler that answers 202 with accepted when the request's body is on disk.
func (b *Bare) Handler(accepted []byte) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		if err := b.Append(ctx.PostBody()); err != nil {
			respond(ctx, 503, fmt.Appendf(nil, `{"error":{"code":"commit_failed","message":%q,"retry":true}}`, err))
			return
		}
		respond(ctx, 202, accepted)
	}
}
