package flush

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// server is one that works on width requests at a time, each of which takes a tenth of a second; more of them wait, and
// beyond queue it rejects.
type server struct {
	width, queue int
	mu           sync.Mutex
	under        int
	busy         chan struct{}
	rejected     int
	served       int
	highest      int
}

func newServer(width, queue int) *server {
	return &server{width: width, queue: queue, busy: make(chan struct{}, width)}
}

func (s *server) serve() (rejected bool) {
	s.mu.Lock()
	s.under++
	s.highest = max(s.highest, s.under)
	full := s.under > s.width+s.queue
	if full {
		s.rejected++
		s.under--
	}
	s.mu.Unlock()
	if full {
		time.Sleep(time.Millisecond)
		return true
	}
	s.busy <- struct{}{}
	time.Sleep(100 * time.Millisecond)
	<-s.busy
	s.mu.Lock()
	defer s.mu.Unlock()
	s.under--
	s.served++
	return false
}

// flood sends requests through l, as many at a time as it lets through, for d.
func flood(t *testing.T, l *limiter, s *server, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var all sync.WaitGroup
	for range 2 * l.max {
		all.Go(func() {
			for l.acquire(ctx) == nil {
				r := reply{sent: time.Now(), bytes: 1000, full: true}
				r.rejected = s.serve()
				r.took = time.Since(r.sent)
				l.release(time.Now(), r)
				if r.rejected {
					time.Sleep(100 * time.Millisecond)
				}
			}
		})
	}
	all.Wait()
	if _, inFlight := l.load(); inFlight != 0 || len(l.waiting) != 0 {
		t.Errorf("%d in flight, %d waiting at the end", inFlight, len(l.waiting))
	}
}

func TestLimiter_FindsWhatTheServerTakes(t *testing.T) {
	for name, tt := range map[string]struct {
		max, width, queue int
		low, high         int // limit at the end
		share             int // of 100, of what the server could have served
		rejects           int // of 100 served, at the most
	}{
		"a wide server is used up to the most":            {max: 8, width: 100, queue: 100, low: 8, high: 8, share: 95, rejects: 1},
		"a narrow one with a long queue is not swamped":   {max: 32, width: 4, queue: 1000, low: 4, high: 16, share: 95, rejects: 1},
		"one that rejects is used well and rejects few":   {max: 32, width: 6, queue: 0, low: 2, high: 8, share: 60, rejects: 10},
		"one at a time is all that a tiny server takes":   {max: 8, width: 1, queue: 1, low: 1, high: 3, share: 80, rejects: 50},
		"a most of one stays one, whatever is said":       {max: 1, width: 4, queue: 4, low: 1, high: 1, share: 20},
		"a server that takes nothing is asked one by one": {max: 8, width: 0, queue: 0, low: 1, high: 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			l, s := newLimiter(tt.max), newServer(tt.width, tt.queue)
			flood(t, l, s, time.Minute)
			limit, _ := l.load()
			if limit < tt.low || limit > tt.high {
				t.Errorf("%s: limit %d, want %d to %d", name, limit, tt.low, tt.high)
			}
			if could := min(tt.width, tt.max) * 600; s.served*100 < could*tt.share {
				t.Errorf("%s: %d served of %d", name, s.served, could)
			}
			if tt.width > 0 && s.rejected*100 > s.served*tt.rejects {
				t.Errorf("%s: %d rejected, %d served", name, s.rejected, s.served)
			}
			if s.highest > tt.max {
				t.Errorf("%s: %d at a time, the most is %d", name, s.highest, tt.max)
			}
		})
	}
}

// TestLimiter_FirstRequestGoesAlone: an index that is made with it gets the mapping of the oldest documents, not of those whose request won.
func TestLimiter_FirstRequestGoesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(8)
		if err := l.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a second request before the first answer: %v", err)
		}
		l.release(time.Now(), reply{sent: time.Now()})
		for range 2 {
			if err := l.acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestLimiter_ServerGetsSlower: what was quick once must not keep a server that is slower now at one request for ever.
func TestLimiter_ServerGetsSlower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(8)
		flood(t, l, newServer(100, 100), 10*time.Second)
		l.best /= 10
		flood(t, l, newServer(100, 100), 2*time.Minute)
		if limit, _ := l.load(); limit != 8 {
			t.Errorf("limit %d after two minutes at another pace", limit)
		}
	})
}

func TestLimiter_RecoversAfterRejections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(8)
		flood(t, l, newServer(0, 0), 10*time.Second)
		if limit, _ := l.load(); limit != 1 {
			t.Fatalf("limit %d while everything is rejected", limit)
		}
		flood(t, l, newServer(100, 0), 10*time.Second)
		if limit, _ := l.load(); limit != 8 {
			t.Errorf("limit %d after ten good seconds", limit)
		}
	})
}

func TestLimiter_Acquire_ContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(1)
		if err := l.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		l.release(time.Now(), reply{})
		if err := l.acquire(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestGate_OneAsksForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := Options{RetryMin: 100 * time.Millisecond, RetryMax: 10 * time.Second}
		var g gate
		g.close(opts.retryPauses, false, 0)
		var all sync.WaitGroup
		var mu sync.Mutex
		asked, passed := 0, 0
		begin := time.Now()
		for range 20 {
			all.Go(func() {
				for {
					probe, err := g.pass(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					if !probe {
						mu.Lock()
						passed++
						mu.Unlock()
						return
					}
					mu.Lock()
					asked++
					mu.Unlock()
					time.Sleep(10 * time.Millisecond)
					if time.Since(begin) > 5*time.Minute {
						g.open(true)
						return
					}
					g.close(opts.retryPauses, true, 0)
				}
			})
		}
		all.Wait()
		if asked < 25 || asked > 70 || passed != 19 {
			t.Errorf("%d asked in five minutes, %d passed when it was open", asked, passed)
		}
	})
}

func TestGate_GiveUp_LetsTheNextAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := Options{RetryMin: time.Second, RetryMax: time.Second}
		var g gate
		g.close(opts.retryPauses, false, time.Minute)
		begin := time.Now()
		for range 3 {
			probe, err := g.pass(t.Context())
			if !probe || err != nil {
				t.Fatalf("probe %v, %v", probe, err)
			}
			g.giveUp(probe)
		}
		if waited := time.Since(begin); waited != time.Minute {
			t.Errorf("waited %s, the destination asked for a minute", waited)
		}
	})
}

// TestBudget_EachHasItsPart tries many orders of taking and giving back.
func TestBudget_EachHasItsPart(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		lanes, total := 1+rnd.IntN(6), int64(1000+rnd.IntN(100_000))
		b := newBudget(total, lanes)
		used, held := make([]int64, lanes), make([][]int64, lanes)
		sum := int64(0)
		for range 500 {
			i := rnd.IntN(lanes)
			if n := len(held[i]); n > 0 && rnd.IntN(2) == 0 {
				b.giveBack(&used[i], held[i][n-1])
				sum -= held[i][n-1]
				held[i] = held[i][:n-1]
				continue
			}
			want := 1 + rnd.Int64N(total)
			given := b.take(&used[i], want)
			if given > want || given == 0 && used[i] == 0 || given > 0 && given < min(want, b.part) {
				t.Fatalf("%d given of %d to one who holds %d; a part is %d", given, want, used[i], b.part)
			}
			if given > 0 {
				held[i] = append(held[i], given)
				sum += given
			}
			if sum > total || b.common < 0 {
				t.Fatalf("%d taken of %d", sum, total)
			}
		}
		for i := range held {
			for _, n := range held[i] {
				b.giveBack(&used[i], n)
			}
		}
		if fresh := newBudget(total, lanes); b != fresh {
			t.Fatalf("%+v at the end, %+v at the beginning", b, fresh)
		}
	}
}

func TestGate_LateSuccess_DoesNotOpenIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := Options{RetryMin: time.Second, RetryMax: time.Second}
		var g gate
		g.close(opts.retryPauses, false, time.Minute)
		begin := time.Now()
		if g.open(false) {
			t.Error("what was under way when the gate was shut opens it")
		}
		if probe, err := g.pass(t.Context()); !probe || err != nil || time.Since(begin) != time.Minute {
			t.Errorf("probe %v after %s, %v", probe, time.Since(begin), err)
		}
		if !g.open(true) || !g.open(false) {
			t.Error("it is shut after the one who asked succeeded")
		}
	})
}
