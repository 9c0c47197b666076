package deadletter

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// discardSink says that every document is delivered.
type discardSink struct{}

func (discardSink) Name() string { return "discard" }

func (discardSink) Send(_ context.Context, docs []flush.Document) ([]flush.Outcome, error) {
	out := make([]flush.Outcome, len(docs))
	for i := range out {
		out[i] = flush.Outcome{Verdict: flush.Delivered, Status: 201}
	}
	return out, nil
}

// BenchmarkStore goes through the life of many letters: each part's time is for all of them.
func BenchmarkStore(b *testing.B) {
	for _, letters := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprintf("letters=%d", letters), func(b *testing.B) {
			if testing.Short() && letters > 100_000 {
				b.Skip("long")
			}
			h := newHome(b, Options{})
			fill(b, h, letters)
			b.Run("list", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if n, err := h.Count(b.Context(), Filter{Reason: "nothing has this"}); n != 0 || err != nil {
						b.Fatal(n, err)
					}
				}
				b.ReportMetric(heapMB(), "heap-MB")
			})
			b.Run("stats", func(b *testing.B) {
				for b.Loop() {
					if g, err := h.Stats(b.Context(), Filter{}); len(g) != 1 || err != nil {
						b.Fatal(g, err)
					}
				}
			})
			b.Run("export", func(b *testing.B) {
				for b.Loop() {
					n := 0
					for _, err := range h.Letters(b.Context(), Filter{}) {
						if err != nil {
							b.Fatal(err)
						}
						n++
					}
					if n != letters {
						b.Fatal(n)
					}
				}
				b.ReportMetric(heapMB(), "heap-MB")
			})
			b.Run("known", func(b *testing.B) {
				var i wal.Offset
				for b.Loop() {
					i = i%wal.Offset(letters) + 1
					if k, err := h.Known(epoch, i); len(k) != 1 || err != nil {
						b.Fatal(k, err)
					}
				}
			})
			b.Run("known=never", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if k, err := h.Known(epoch, 1<<50); k != nil || err != nil {
						b.Fatal(k, err)
					}
				}
			})
			b.Run("open", func(b *testing.B) {
				for b.Loop() {
					h.reopen()
				}
			})
			b.Run("rebuild", func(b *testing.B) {
				for b.Loop() {
					h.reopenWithoutIndex()
				}
			})
			b.Run("replay", func(b *testing.B) {
				for b.Loop() {
					r := &Replayer{Store: h.Store, Validate: validate, Streams: map[string]Stream{"default": {Prepare: prepare, Sink: discardSink{}}}}
					s, err := r.Replay(b.Context(), Request{}, nil)
					if err != nil || s.Delivered != letters && s.Delivered != 0 {
						b.Fatal(s, err)
					}
					b.ReportMetric(float64(h.log.Bytes()>>20), "log-MB-after")
				}
				b.ReportMetric(heapMB(), "heap-MB")
			})
			if info, err := os.Stat(h.dir + "/weir.db"); err == nil {
				b.Logf("weir.db %d MB", info.Size()>>20)
			}
		})
	}
}

func fill(b *testing.B, h *home, letters int) {
	batch := make([]flush.Letter, 0, 1000)
	for i := range letters {
		if batch = append(batch, letter(wal.Offset(i+1))); len(batch) == cap(batch) || i == letters-1 {
			if err := h.Put(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	b.Logf("put %d letters: log %d MB, live %d MB", letters, h.log.Bytes()>>20, h.Status().Bytes>>20)
}

func heapMB() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse >> 20)
}
