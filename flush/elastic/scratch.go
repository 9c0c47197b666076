package elastic

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// scratch holds the buffers of one Send, so that the next one needs none.
type scratch struct {
	lines  []byte
	ends   []int
	answer bytes.Buffer
	ids    [][]byte // raw ids of the answer's items; point into answer
	packed bytes.Buffer
	gzip   *gzip.Writer
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

// compress returns what r yields as gzip. The result is valid until the scratch is used again.
func (sc *scratch) compress(r io.Reader) ([]byte, error) {
	sc.packed.Reset()
	if sc.gzip == nil {
		// Level 1 is what shippers use: most of the gain for a fraction of the time.
		w, err := gzip.NewWriterLevel(&sc.packed, gzip.BestSpeed)
		if err != nil {
			return nil, fmt.Errorf("make compressor: %w", err)
		}
		sc.gzip = w
	}
	sc.gzip.Reset(&sc.packed)
	if _, err := io.Copy(sc.gzip, r); err != nil {
		return nil, fmt.Errorf("compress body: %w", err)
	}
	if err := sc.gzip.Close(); err != nil {
		return nil, fmt.Errorf("compress body: %w", err)
	}
	return sc.packed.Bytes(), nil
}
