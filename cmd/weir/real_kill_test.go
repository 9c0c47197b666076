package main

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
)

// realLoad posts until it is stopped. A body whose answer is lost is not sent again: its events may be there or not.
type realLoad struct {
	r       *realRun
	stopped chan struct{}
	work    sync.WaitGroup
	acked   atomic.Int64
	refused atomic.Int64 // bodies
}

// load posts to a stream, eight hundred events a second at the most: a server that is away, or slow, has to catch up with it.
func (r *realRun) load(stream string, events *realEvents) *realLoad {
	l := &realLoad{r: r, stopped: make(chan struct{})}
	var mu sync.Mutex // of events
	for range 4 {
		l.work.Go(func() {
			pace := time.NewTicker(100 * time.Millisecond)
			defer pace.Stop()
			for {
				select {
				case <-l.stopped:
					return
				case <-pace.C:
				}
				mu.Lock()
				body := events.plain(20)
				mu.Unlock()
				if r.tryPost(stream, body) != nil {
					l.refused.Add(1)
					continue
				}
				l.acked.Add(int64(len(body)))
			}
		})
	}
	return l
}

func (l *realLoad) stop() {
	close(l.stopped)
	l.work.Wait()
}

// reaches waits until so many more events are acknowledged.
func (l *realLoad) reaches(more int64) {
	l.r.Helper()
	want := l.acked.Load() + more
	l.r.await(func() bool { return l.acked.Load() >= want }, "the load does not get on")
}

// TestReal_WeirIsKilled: weir dies again and again while it delivers. What was sent before and is sent again finds itself there.
func TestReal_WeirIsKilled(t *testing.T) {
	server := sharedServer(t)
	index := server.index("killed", "", "")
	events := newRealEvents()
	r := startRealRun(t, server, "elasticsearch: {index: "+index+"}\nflush: {batch_events: 200}\n", index)
	duplicates := 0.0
	for range 4 {
		r.postAll("default", events.plain(3000))
		before := len(server.numbers(index))
		r.await(func() bool { return len(server.numbers(index)) > before }, "nothing is delivered") // and something is under way
		r.proc.kill()
		r.start()
		r.proc.drain()
		duplicates += r.metric("weir_flush_settled_total", "duplicate")
	}
	documents, letters := r.settled("killed four times", nil)
	if documents != 12000 || letters != 0 {
		t.Errorf("%d documents and %d letters, want 12000 and none", documents, letters)
	}
	t.Logf("%v documents were there already", duplicates)
}

// TestReal_ServerIsKilledUnderLoad: the server dies and comes back with its data, while weir and its clients go on.
func TestReal_ServerIsKilledUnderLoad(t *testing.T) {
	server := startOwnServer(t, "--data", t.TempDir())
	index := server.index("load", `,"index.translog.durability":"request"`, "")
	r := startRealRun(t, server.realServer, "elasticsearch: {index: "+index+"}\nflush: {batch_events: 200}\n", index)
	load := r.load("default", newRealEvents())
	load.reaches(1500)
	r.await(func() bool { return r.delivery().Delivered > 500 }, "nothing is delivered")
	server.kill()
	load.reaches(1500)
	r.await(func() bool { return r.delivery().Destinations[0].State == flush.StateDown }, "status does not say that the server is down")
	if out := r.weir(exitDone, "status"); !strings.Contains(out, "down") {
		t.Errorf("weir status does not say so:\n%s", out)
	}
	down := time.Now()
	server.start()
	t.Logf("the server was away for %s more", time.Since(down).Round(time.Millisecond))
	load.reaches(1000)
	load.stop()
	if n := load.refused.Load(); n != 0 {
		t.Errorf("%d bodies were refused meanwhile", n)
	}
	documents, letters := r.settled("server came back", nil)
	if int64(documents) != load.acked.Load() || letters != 0 {
		t.Errorf("%d documents and %d letters of %d events", documents, letters, load.acked.Load())
	}
	t.Logf("%v documents were there already", r.metric("weir_flush_settled_total", "duplicate"))
}
