//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirlog/weir/flush/elastic/elastictest"
)

// loadMix makes few letters, so that the load is about the log.
var loadMix = append(strings.Fields(strings.Repeat("plain ", 24)), "split", "split", "drop", "drop", "fail", "refused", "bad")

// load is what clients and operators do to a world, from its start until stop is called.
type load struct {
	w      *world
	begun  time.Time
	cancel context.CancelFunc
	work   sync.WaitGroup
	acked  atomic.Int64 // events
}

// clients is how a load posts: so many keep-alive connections, each with bodies of from to events.
type clients struct{ connections, from, to, pad int }

// usualClients have reached several times 5,000 acknowledged events a second wherever they ran.
var usualClients = clients{connections: 6, from: 10, to: 100, pad: 200}

// load posts until it is stopped or the process is gone.
func (w *world) load(c clients) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{w: w, begun: time.Now(), cancel: cancel}
	for i := range c.connections {
		rng := rand.New(rand.NewPCG(w.rng.Uint64(), uint64(i)))
		l.work.Go(func() {
			for ctx.Err() == nil {
				if rng.IntN(50) == 0 {
					w.sendEvents([]*tortureEvent{w.ledger.makeKind("bad", w.mark("sent"))}) // refused whole, and kept for the operator
				}
				n := c.from + rng.IntN(c.to-c.from+1)
				switch r := w.send(rng, n-1, c.pad); {
				case r.err != nil:
					return
				case r.status == http.StatusAccepted:
					l.acked.Add(int64(n))
				}
			}
		})
	}
	return l
}

// replaying replays all letters again and again beside the load, and counts how often that went to its end.
func (l *load) replaying(replays *atomic.Int64) {
	admin := l.w.proc.admin
	l.work.Go(func() {
		for replayOnce(l.w.client, admin) == nil {
			replays.Add(1)
		}
	})
}

// replayOnce returns an error when the process is gone.
func replayOnce(client *http.Client, admin string) error {
	req, err := http.NewRequest(http.MethodPost, admin+"/api/v1/dead-letters/replay", strings.NewReader(`{}`))
	if err != nil {
		return err
	}
	req.Header.Set("X-Weir", "1")
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("replay: status %d", res.StatusCode)
	}
	return nil
}

// stop ends the load, which belongs to a process that has ended or takes requests, and returns how long it lasted.
func (l *load) stop(ended time.Time) time.Duration {
	l.cancel()
	l.work.Wait()
	return ended.Sub(l.begun)
}

// newLoadedWorld makes a world on a file system of the machine for lives under load.
func newLoadedWorld(t *testing.T, rng *rand.Rand, dataDir string, env ...string) *world {
	w := newWorldIn(t, dataDir, rng)
	w.ledger.mix = loadMix
	w.patience = 2 * time.Minute
	w.environ = append(w.environ, "WEIR_FLUSH_LINGER=10ms", "WEIR_FLUSH_BATCH_EVENTS=500", "WEIR_FLUSH_RETRY_MIN=5ms", "WEIR_FLUSH_RETRY_MAX=50ms",
		"WEIR_WAL_SEGMENT_BYTES=256KiB")
	w.environ = append(w.environ, env...)
	return w
}

// fails makes the destination fail in all its ways.
func (w *world) fails() {
	w.es.SetChaos(elastictest.Chaos{
		Seed: w.rng.Uint64(), ItemRejected: 0.05, ItemUnavailable: 0.02, ItemMalformed: 0.01, Busy: 0.05, Unavailable: 0.05,
		CutBefore: 0.05, CutAfter: 0.05, CutAnswer: 0.05, Garbage: 0.03, BrokenJSON: 0.03, ItemMissing: 0.03,
	})
}

// settle starts weir without any fault, lets it deliver everything, also what was refused before, stops it and judges.
func (w *world) settle() verdict {
	w.es.SetChaos(elastictest.Chaos{})
	w.away(false)
	byHand := func(err error) verdict { return verdict{byHand: []string{err.Error()}} }
	if err := w.start(); err != nil {
		return byHand(fmt.Errorf("it does not start: %w", err))
	}
	if err := w.drained(); err != nil {
		return byHand(err)
	}
	if err := w.replay(); err != nil {
		return byHand(err)
	}
	if err := w.stopped(); err != nil {
		return byHand(err)
	}
	return w.judgeAll()
}

// stopped ends the process in order and returns an error unless it exits with 0.
func (w *world) stopped() error {
	if err := w.terminate(); err != nil {
		return err
	}
	if w.proc.err != nil {
		return fmt.Errorf("exit after SIGTERM: %w", w.proc.err)
	}
	return nil
}

// keep copies the data directory.
func (w *world) keep(dir string) error { return os.CopyFS(dir, os.DirFS(w.dataDir)) }
