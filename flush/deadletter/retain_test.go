package deadletter

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// logLines is what a store has logged.
type logLines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logLines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), part)
}

func (l *logLines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func TestStore_MaxAge_DropsCountsAndSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := &logLines{}
		reg := prometheus.NewRegistry()
		metrics := NewMetrics(reg)
		h := newHome(t, Options{MaxAge: time.Hour, Logger: lines.logger(), Metrics: metrics, SegmentBytes: 4 << 10, now: time.Now})
		at := func(offset wal.Offset, put time.Time) flush.Letter {
			l := letter(offset)
			l.FirstAt = put
			return l
		}
		begin := time.Now()
		var letters []flush.Letter
		for i := range wal.Offset(2*sweepBatch + 5) {
			letters = append(letters, at(i+1, begin))
		}
		h.put(letters...)
		h.put(at(9001, begin.Add(30*time.Minute)), at(9002, begin.Add(-time.Minute))) // the clock went back
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		if h.Len() != uint64(len(letters)+2) {
			t.Fatalf("%d letters left before their time", h.Len())
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if got := h.offsets(); len(got) != 1 || got[0] != 9001 {
			t.Fatalf("left: %d letters, %v", len(got), got[:min(len(got), 3)])
		}
		if r := h.Status().Removed; r.Age != uint64(len(letters)+1) || r.Limit != 0 || r.Last.IsZero() {
			t.Errorf("%+v", r)
		}
		if got := testutil.ToFloat64(metrics.dropped.WithLabelValues("letters", DropAge)); int(got) != len(letters)+1 {
			t.Errorf("counted %v", got)
		}
		if n := lines.count("older than max_age were dropped"); n < 1 || n > 2 { // the letter with the wrong time may go in a sweep of its own
			t.Errorf("%d lines:\n%s", n, lines.b.String())
		}
		// They are remembered: a redelivery does not bring one back, also not after a start without the index.
		h.put(at(5, begin))
		h.reopenWithoutIndex()
		h.put(at(6, begin))
		if h.Len() != 1 {
			t.Errorf("%v came back", h.offsets())
		}
		h.close()
	})
}

func TestStore_MaxAge_OffByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHome(t, Options{now: time.Now})
		l := letter(1)
		l.FirstAt = time.Now().Add(-10 * 365 * 24 * time.Hour)
		h.put(l)
		time.Sleep(time.Hour)
		synctest.Wait()
		if h.Len() != 1 {
			t.Error("dropped without being told to")
		}
		h.close()
	})
}

func TestStore_LimitComesNear_IsSaidOnce(t *testing.T) {
	lines := &logLines{}
	reg := prometheus.NewRegistry()
	h := newHome(t, Options{MaxBytes: 20_000, Logger: lines.logger(), Metrics: NewMetrics(reg)})
	var keys []flush.Key
	put := func(n int) {
		for range n {
			l := letter(wal.Offset(len(keys) + 1))
			keys = append(keys, l.Key)
			if err := h.Put(t.Context(), []flush.Letter{l}); err != nil && !errors.Is(err, flush.ErrDeadLettersFull) {
				t.Fatal(err)
			}
		}
	}
	put(5)
	if st := h.Status(); st.NearlyFull || lines.count("near their limit") != 0 {
		t.Fatalf("%+v", st)
	}
	for n := 0; !h.Status().NearlyFull; n++ {
		put(1)
		if n > 100 {
			t.Fatal("never nearly full")
		}
	}
	put(2)
	if n := lines.count("near their limit; then delivery waits"); n != 1 {
		t.Errorf("said %d times", n)
	}
	if st := h.Status(); st.Bytes*100 < 80*20_000 || st.DropsOldest {
		t.Errorf("%+v", st)
	}
	if got, err := testutil.GatherAndCount(reg, "weir_deadletter_max_bytes"); err != nil || got != 1 {
		t.Errorf("%d series, %v", got, err)
	}
	if _, err := h.Drop(t.Context(), keys[:10], false); err != nil {
		t.Fatal(err)
	}
	if lines.count("well below their limit again") != 1 {
		t.Error(lines.b.String())
	}
	put(40)
	err := h.Put(t.Context(), []flush.Letter{letter(9000)})
	if !errors.Is(err, flush.ErrDeadLettersFull) || !strings.Contains(err.Error(), "dead letters are full") || !strings.Contains(err.Error(), "weir dlq stats") {
		t.Errorf("%v", err)
	}
	if lines.count("near their limit") != 2 {
		t.Error("not said again")
	}
}

func TestStore_DropOldest_CountsInItsStatus(t *testing.T) {
	lines := &logLines{}
	h := newHome(t, Options{MaxBytes: 20_000, OnFull: DropOldest, Logger: lines.logger()})
	for i := range wal.Offset(60) {
		h.put(letter(i + 1))
	}
	st := h.Status()
	if st.Removed.Limit+h.Len() != 60 || st.Removed.Limit == 0 || !st.DropsOldest || st.Full || lines.count("then the oldest are dropped") != 1 {
		t.Errorf("%+v\n%s", st, lines.b.String())
	}
}
