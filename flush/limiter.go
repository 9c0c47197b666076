package flush

import (
	"context"
	"sync"
	"time"
)

// limiter bounds the requests that a destination has at a time, between 1 and max. It grows by one for
// each round of requests that the limit held back and that went well, is halved when the destination rejects or fails, and
// shrinks a little when answers take much longer than they did: more requests than a server can work on only
// wait there. (AIMD: Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion avoidance", 1989.)
type limiter struct {
	max int

	mu       sync.Mutex
	limit    float64
	inFlight int
	waiting  []chan struct{} // first come, first served; closed when its turn has come
	cutAt    time.Time       // requests sent before say nothing new
	best     float64         // seconds a byte when the destination has little to do
	recent   float64         // seconds a byte of late
	took     float64         // seconds a request of late
}

const (
	// initialLimit: the first request goes alone. An index that is made with it takes its mapping from the documents that come first, and with
	// several at a time those would not be the oldest.
	initialLimit = 1
	// slowFactor: answers that take longer than this many times the best mean that requests wait at the destination. Below
	// slowFloor they tell of a busy machine on either side rather than of that.
	slowFactor = 3
	slowFloor  = 100 * time.Millisecond
	slowCut    = 0.9
	rejectCut  = 0.5
	// How fast the averages follow. best rises only while requests go one by one: what is slow then is the server itself, which
	// may have got slower since; more at a time tell nothing of that.
	recentWeight = 0.25
	bestWeight   = 0.05
)

func newLimiter(most int) *limiter {
	return &limiter{max: most, limit: initialLimit}
}

// acquire waits for a turn.
func (l *limiter) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	if len(l.waiting) == 0 && l.inFlight < int(l.limit) {
		l.inFlight++
		l.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, w := range l.waiting {
		if w == turn {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			return ctx.Err()
		}
	}
	l.inFlight-- // the turn came at the same moment
	l.wakeLocked()
	return ctx.Err()
}

// cancel gives a turn back that was not used.
func (l *limiter) cancel() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	l.wakeLocked()
}

// reply is what a request tells about the destination.
type reply struct {
	sent  time.Time
	took  time.Duration
	bytes int  // of documents
	full  bool // large enough for its time to say something
	// rejected: the destination said that it has too much to do, or failed.
	rejected bool
}

// release gives the turn back and learns from the reply. It reports whether the limit was cut because answers
// take long.
func (l *limiter) release(now time.Time, r reply) (slow bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.inFlight >= int(l.limit)
	l.inFlight--
	fresh := r.sent.After(l.cutAt)
	switch {
	case r.rejected && fresh:
		l.cutLocked(now, rejectCut)
	case r.rejected:
	case l.slowLocked(&r):
		slow = true
		if fresh {
			l.cutLocked(now, slowCut)
		}
	case held:
		l.limit = min(float64(l.max), l.limit+1/l.limit)
	}
	l.wakeLocked()
	return slow
}

// slowLocked learns how long a request took, and reports whether that is much longer than it used to be.
func (l *limiter) slowLocked(r *reply) bool {
	if !r.full || r.bytes == 0 {
		return false
	}
	cost := r.took.Seconds() / float64(r.bytes)
	if l.best == 0 {
		l.best, l.recent, l.took = cost, cost, r.took.Seconds()
	}
	l.took += (r.took.Seconds() - l.took) * recentWeight
	l.recent += (cost - l.recent) * recentWeight
	switch {
	case cost < l.best:
		l.best = cost
	case l.limit < 2:
		l.best += (cost - l.best) * bestWeight
	}
	return l.recent > slowFactor*l.best && l.took > slowFloor.Seconds()
}

func (l *limiter) cutLocked(now time.Time, factor float64) {
	l.limit = max(1, l.limit*factor)
	l.cutAt = now
}

func (l *limiter) wakeLocked() {
	for len(l.waiting) > 0 && l.inFlight < int(l.limit) {
		l.inFlight++
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
	}
}

// load returns the limit in force and the requests under way.
func (l *limiter) load() (limit, inFlight int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int(l.limit), l.inFlight
}
