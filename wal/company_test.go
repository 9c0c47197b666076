package wal

import (
	"context"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestCompany_Linger(t *testing.T) {
	const pace = 200 * time.Microsecond
	for name, tt := range map[string]struct {
		appends, queued int // of the last commit, and when it ended
		now             int // queued
		want            time.Duration
	}{
		"nobody is queued":                   {appends: 64, queued: 0, now: 0, want: 0},
		"a single writer never waits":        {appends: 1, queued: 0, now: 1, want: 0},
		"all were answered and come back":    {appends: 64, queued: 0, now: 1, want: pace},
		"half of them were queued meanwhile": {appends: 32, queued: 32, now: 32, want: pace},
		"three quarters are there":           {appends: 32, queued: 32, now: 48, want: 0},
		"few have come, and none is missing": {appends: 1, queued: 1, now: 1, want: 0},
		"the last group was a leftover":      {appends: 4, queued: 60, now: 60, want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := company{pace: pace}
			c.committed(tt.appends, tt.queued, pace)
			if got := c.linger(tt.now); got != tt.want {
				t.Errorf("wait %s, want %s", got, tt.want)
			}
		})
	}
}

func TestCompany_Linger_EndsWithoutTheMissing(t *testing.T) {
	c := company{pace: time.Hour}
	c.committed(64, 0, time.Hour)
	if got := c.linger(1); got != longestLinger || c.wake != 48 {
		t.Fatalf("wait %s for %d, want %s for 48", got, c.wake, longestLinger)
	}
	c.over = true
	if got := c.linger(1); got != 0 {
		t.Errorf("waits another %s", got)
	}
	c.committed(1, 0, time.Millisecond)
	if got := c.linger(1); got != 0 {
		t.Errorf("waits %s for those who did not come", got)
	}
}

// heldLibrary makes fsyncs wait for the test while it holds them.
type heldLibrary struct {
	library
	holds          atomic.Bool
	begun, release chan struct{}
}

func (l *heldLibrary) Sync() error {
	if l.holds.Load() {
		l.begun <- struct{}{}
		<-l.release
	}
	return l.library.Sync()
}

// TestLog_Append_CompanyIsWaitedFor: clients who send again when they are answered share fsyncs, and one who
// stays alone is not kept waiting for the others for long.
func TestLog_Append_CompanyIsWaitedFor(t *testing.T) {
	held := &heldLibrary{begun: make(chan struct{}), release: make(chan struct{})}
	l, err := Open(filepath.Join(t.TempDir(), "wal"), Options{library: func(dir string, n int64) (library, error) {
		lib, err := openLibrary(dir, n)
		held.library = lib
		return held, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	lf := runLog(t, l)
	held.holds.Store(true)
	var wg sync.WaitGroup
	send := func(n int) {
		for range n {
			wg.Go(func() { lf.mustAppend("{}") })
		}
		for l.queuedAppends() < n {
			runtime.Gosched() // the queue has no signal of its own
		}
	}
	// The first commit holds one append, and eight are queued when it ends.
	wg.Go(func() { lf.mustAppend("{}") })
	<-held.begun
	send(8)
	l.mu.Lock()
	l.company.pace = time.Hour // only longestLinger ends the wait
	l.mu.Unlock()
	held.release <- struct{}{}
	<-held.begun
	held.release <- struct{}{}
	wg.Wait()
	if got := l.DurableOffset(); got != 9 {
		t.Fatalf("durable %d, want 9", got)
	}
	// Six of eight are waited for: one alone starts its commit only when the wait is over.
	start := time.Now()
	wg.Go(func() { lf.mustAppend("{}") })
	<-held.begun
	if waited := time.Since(start); waited < longestLinger {
		t.Errorf("committed after %s, the wait is %s", waited, longestLinger)
	}
	held.holds.Store(false)
	held.release <- struct{}{}
	wg.Wait()
}

// TestLog_Run_EndsWhileItWaitsForCompany: an append that waits for others is committed by an orderly stop.
func TestLog_Run_EndsWhileItWaitsForCompany(t *testing.T) {
	l, err := Open(filepath.Join(t.TempDir(), "wal"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	l.company = company{pace: time.Hour, expected: 1000}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	appended := make(chan error, 1)
	go func() {
		_, err := l.Append(context.Background(), testOrigin, []Event{{Payload: []byte("{}")}})
		appended <- err
	}()
	for l.queuedAppends() == 0 && l.DurableOffset() == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-appended; err != nil {
		t.Errorf("append: %v", err)
	}
	if err := <-ended; err != nil || l.DurableOffset() != 1 {
		t.Errorf("run: %v, durable %d", err, l.DurableOffset())
	}
}

func (l *Log) queuedAppends() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queuedLocked()
}
