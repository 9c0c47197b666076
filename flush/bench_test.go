package flush

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/wal"
	"github.com/weirlog/weir/wal/waltest"
)

// acceptingSink takes everything at once.
type acceptingSink struct{}

func (acceptingSink) Name() string { return "accepting" }

func (acceptingSink) Send(_ context.Context, docs []Document) ([]Outcome, error) {
	outcomes := make([]Outcome, len(docs))
	for i := range outcomes {
		outcomes[i] = Outcome{Verdict: Delivered, Status: 201}
	}
	return outcomes, nil
}

// BenchmarkFlusher delivers a log of 320-byte events into a sink that costs nothing: what is left is reading, batches and ids.
func BenchmarkFlusher(b *testing.B) {
	const events = 200_000
	for _, streams := range []int{1, 8} {
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) {
			l, stop := waltest.OpenAt(b, b.TempDir()+"/wal", wal.Options{})
			payload := `{"message":"` + strings.Repeat("x", 300) + `"}`
			for i := range events / 500 {
				list := make([]wal.Event, 500)
				for j := range list {
					list[j].Payload = []byte(payload)
				}
				if _, err := l.Append(context.Background(), wal.Origin{Stream: fmt.Sprint("s", i%streams), ReceivedAt: time.Now()}, list); err != nil {
					b.Fatal(err)
				}
			}
			stop()
			b.SetBytes(int64(events * len(payload)))
			for b.Loop() {
				opts := Options{
					Epoch: l.Epoch(), Open: func(from wal.Offset) Source { return l.NewReader(from) }, Checkpoint: &memoryCheckpoint{}, DeadLetters: &memoryLetters{},
					Durable: l.DurableOffset, Streams: map[string]Stream{},
				}
				for i := range streams {
					opts.Streams[fmt.Sprint("s", i)] = Stream{Sink: acceptingSink{}, Route: Route{Index: "logs-{stream}-2006.01.02", Timestamp: true}}
				}
				if err := New(opts).Run(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
