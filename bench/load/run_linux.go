package load

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// Run opens the connections, sends for WarmUp and Window (or until each connection has sent Limit requests,
// whichever is first), waits for the answers that are missing, and closes. When ctx ends it stops sending.
// The error says that the plan could not be carried out; what servers do wrong is in the Result.
func Run(ctx context.Context, plan Plan) (*Result, error) {
	plan, err := plan.withDefaults()
	if err != nil {
		return nil, err
	}
	threads := make([]*thread, plan.Threads)
	defer func() {
		for _, t := range threads {
			t.close()
		}
	}()
	for i := range threads {
		if threads[i], err = newThread(&plan, i); err != nil {
			return nil, err
		}
	}
	slow, err := newSlow(&plan)
	if err != nil {
		return nil, err
	}
	if plan.AtStart != nil {
		plan.AtStart()
	}
	result := &Result{Begun: time.Now(), Latency: newHistogram()}
	clock := newClock(&plan, result.Begun)
	err = runThreads(ctx, threads, slow, clock)
	result.Ended = time.Now()
	result.Window = clock.window(result.Ended)
	for _, t := range threads {
		t.addTo(result)
	}
	result.SlowCuts, result.SlowOpen = slow.cuts, slow.left
	if plan.AtEnd != nil {
		plan.AtEnd()
	}
	return result, err
}

// runThreads returns when all threads have ended, and the slow connections after them.
func runThreads(ctx context.Context, threads []*thread, slow *slow, clock *clock) error {
	var honest, others sync.WaitGroup
	stop := make(chan struct{})
	others.Go(func() { slow.run(stop) })
	errs := make([]error, len(threads))
	for i, t := range threads {
		honest.Go(func() { errs[i] = t.run(ctx, clock) })
	}
	honest.Wait()
	close(stop)
	others.Wait()
	return errors.Join(errs...)
}

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, latencyMax, latencyDigits) }

// MaxConnections returns how many connections this process may have open, with room for what else it needs.
func MaxConnections() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<20)) - 100
}

// clock holds the moments of a run.
type clock struct {
	begun, from, to, giveUp time.Time // the first request, the window, and the end of patience
}

func newClock(plan *Plan, begun time.Time) *clock {
	c := &clock{begun: begun, from: begun.Add(plan.WarmUp)}
	window := plan.Window
	if window <= 0 {
		window = time.Hour // Limit ends it
	}
	c.to = c.from.Add(window)
	c.giveUp = c.to.Add(plan.Patience)
	return c
}

func (c *clock) window(ended time.Time) time.Duration {
	if ended.Before(c.to) {
		return max(ended.Sub(c.from), 0)
	}
	return c.to.Sub(c.from)
}

// within reports whether a moment is in the window.
func (c *clock) within(t time.Time) bool { return !t.Before(c.from) && t.Before(c.to) }
