package elastic

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// scratch holds the buffers of one Send, so that the next one needs none.
type scratch struct {
	lines  []byte
	ends   []int
	answer bytes.Buffer
	ids    [][]byte // raw ids of the answer's items; point into answer
	packed bytes.Buffer
	gzip   *gzip.Writer
	zstd   *zstd.Encoder
}

// maxKept bounds what an unusually large request leaves behind in memory.
const maxKept = 8 << 20

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func getScratch() *scratch { return scratches.Get().(*scratch) }

// put gives the buffers back. Nobody may use them any more.
func (sc *scratch) put() {
	if cap(sc.lines)+sc.answer.Cap()+sc.packed.Cap() > maxKept {
		return
	}
	clear(sc.ids[:cap(sc.ids)])
	sc.ids = sc.ids[:0]
	scratches.Put(sc)
}

// compress returns what r yields, compressed. The result is valid until the scratch is used again.
func (sc *scratch) compress(r io.Reader, compression Compression) ([]byte, error) {
	sc.packed.Reset()
	w, err := sc.compressor(compression)
	if err != nil {
		return nil, fmt.Errorf("make compressor: %w", err)
	}
	w.Reset(&sc.packed)
	if _, err := io.Copy(w, r); err != nil {
		return nil, fmt.Errorf("compress body: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress body: %w", err)
	}
	return sc.packed.Bytes(), nil
}

// compressor is what both kinds of writers have in common.
type compressor interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// compressor returns a writer of its own for each scratch. Level 1 is what shippers use: most of the gain for a fraction of the time.
func (sc *scratch) compressor(compression Compression) (compressor, error) {
	if compression == CompressionZstd {
		if sc.zstd == nil {
			// Concurrency 1 compresses in the caller's goroutine: none of its own is left behind.
			w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
			if err != nil {
				return nil, err
			}
			sc.zstd = w
		}
		return sc.zstd, nil
	}
	if sc.gzip == nil {
		w, err := gzip.NewWriterLevel(&sc.packed, gzip.BestSpeed)
		if err != nil {
			return nil, err
		}
		sc.gzip = w
	}
	return sc.gzip, nil
}
