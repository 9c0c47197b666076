package elastic_test

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/weirlog/weir/flush/elastic/elastictest"
)

// fault is a row of the matrix. Exactly one of dial, cut, tls, answer, item and foreign says how it strikes.
type fault struct {
	name   string
	dial   func(ctx context.Context) error // instead of a connection
	cut    *cut                            // on the wire
	tls    tlsTrouble                      // on new connections
	answer func(r elastictest.Request) elastictest.Fault
	item   func(it elastictest.Item) elastictest.Answer // status 0: this item is not struck
	// foreign: another writer stored a document under the id that the client gave an event.
	foreign bool

	// only limits the fault to addresses; since is the time since the trouble began. nil: all of them.
	only func(address string, since time.Duration) bool
	// nodes is how many addresses the sink has. 0: one.
	nodes int
	// turns: only changes its mind while it is bad, so that connections have to go then, too.
	turns bool
	// parks: weir sees at once that only a person can mend it, and hardly asks.
	parks bool
	// spares: it strikes the stream default only, and the other one goes on.
	spares bool
	// perItem: it says something about each document, although it strikes requests.
	perItem bool
	// stored says whether documents of requests that it strikes are stored, so that sending them again finds them there.
	stored certainty
	// letters: documents that it strikes become dead letters: items, or requests of one document.
	letters bool
	// settles: what it strikes is settled by that, or by the next attempt: delivery goes on.
	settles bool
	// pause is what Retry-After asks for; requests must keep away so long.
	pause time.Duration
	// patience is how long after the fault everything has to be settled. 0: 15 minutes.
	patience time.Duration
}

// certainty is what is known of something.
type certainty int

const (
	unknown certainty = iota
	yes
	no
	byTurns // the first time not, the next time yes, and so on
)

// breaks reports whether the fault needs new connections, so that those that are open have to go.
func (f *fault) breaks() bool { return f.dial != nil || f.tls != "" }

// mode is a column of the matrix: when the fault strikes.
type mode struct {
	name string
	// period and bad: of each period of the trouble, the first part is bad. 0: one strike only.
	period, bad time.Duration
	lasts       time.Duration
}

var modes = []mode{
	{name: "once"},
	{name: "30 s", period: 30 * time.Second, bad: 30 * time.Second, lasts: 30 * time.Second},
	{name: "flapping", period: 10 * time.Second, bad: 5 * time.Second, lasts: time.Minute},
}

// phases returns how many bad phases there are.
func (m mode) phases() int {
	if m.period == 0 {
		return 1
	}
	return int(m.lasts / m.period)
}

// trouble is a fault that comes and goes. Safe for concurrent use.
type trouble struct {
	fault *fault
	mode  mode

	mu    sync.Mutex
	begun time.Time // zero: not yet
	hits  int       // strikes
	last  time.Time // strike
	// hurried counts strikes on requests that should have kept away for longer.
	hurried int
	ids     map[string]bool // of documents that are to become letters
}

func newTrouble(f *fault, m mode) *trouble {
	return &trouble{fault: f, mode: m, ids: map[string]bool{}}
}

func (t *trouble) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun = time.Now()
}

// strikes decides, at a chance that the fault has, whether it takes it, and counts.
func (t *trouble) strikes(address string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	since := time.Since(t.begun)
	switch {
	case t.begun.IsZero(), t.fault.only != nil && !t.fault.only(address, since):
		return false
	case !t.isBadLocked(since):
		return false
	}
	if now := time.Now(); t.hits > 0 && now.After(t.last) && now.Sub(t.last) < t.fault.pause {
		t.hurried++ // not one of those that were on their way together
	}
	t.hits++
	t.last = time.Now()
	return true
}

func (t *trouble) isBadLocked(since time.Duration) bool {
	if t.mode.period == 0 {
		return t.hits == 0
	}
	return since < t.mode.lasts && since%t.mode.period < t.mode.bad
}

// isBad reports whether the fault would strike now.
func (t *trouble) isBad() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.begun.IsZero() && t.isBadLocked(time.Since(t.begun))
}

// aimsAt reports whether an address is among those that the fault is for.
func (t *trouble) aimsAt(address string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fault.only == nil || t.fault.only(address, time.Since(t.begun))
}

// over reports whether it will not strike again.
func (t *trouble) over() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mode.period == 0 {
		return t.hits > 0
	}
	return time.Since(t.begun) >= t.mode.lasts-t.mode.period+t.mode.bad && !t.begun.IsZero()
}

// settledBy notes that a strike is to make a dead letter of a document.
func (t *trouble) settledBy(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ids[id] = true
}

// onRequest is the hook of the server.
func (t *trouble) onRequest(r elastictest.Request) elastictest.Fault {
	if t.fault.answer == nil {
		return elastictest.Fault{}
	}
	answer := t.fault.answer(r)
	if isZero(&answer) || !t.strikes(r.Host) {
		return elastictest.Fault{}
	}
	answer.Unstored = t.fault.stored == byTurns && t.struck()%2 == 1
	if t.fault.letters && len(r.IDs) == 1 {
		t.settledBy(r.IDs[0])
	}
	return answer
}

func isZero(f *elastictest.Fault) bool {
	return f.Status == 0 && f.Delay == 0 && f.Wait == nil && !f.CutBefore && !f.CutAfter && !f.CutAnswer && f.Mangle == nil && f.Raw == nil
}

// onItem is the hook of the server.
func (t *trouble) onItem(it elastictest.Item) elastictest.Answer {
	if t.fault.item == nil {
		return elastictest.Answer{}
	}
	answer := t.fault.item(it)
	if answer.Status == 0 || !t.strikes("") {
		return elastictest.Answer{}
	}
	if t.fault.letters {
		t.settledBy(it.ID)
	}
	return answer
}

// struck returns the strikes so far.
func (t *trouble) struck() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hits
}

// bound is how many strikes there may be without calling it hammering. While a destination takes nothing, one request asks, after
// pauses that grow: in a bad phase so many as fit when every pause is the shortest possible, and those that were on their way
// when it began. Twice that where a connection or another node may be tried at once. events is how many there were.
func (t *trouble) bound(events int) int {
	if t.mode.period == 0 {
		return 1
	}
	f := t.fault
	asks := int(math.Log2(2*float64(t.mode.bad)/float64(matrixRetryMin))) + 2
	switch {
	case f.settles:
		return 2*events + 1
	case f.answer != nil && f.letters:
		return 2*events + 1 // halving a request of n takes 2n-1
	case f.pause > 0, f.parks:
		return t.mode.phases() * (matrixInFlight + asks)
	case f.item != nil || f.perItem:
		// Documents are counted here. Each may be tried three times before it is held back, and then waits like the others.
		return 3*events + 2*t.mode.phases()*matrixInFlight*matrixBatch*asks
	}
	return 2 * t.mode.phases() * (matrixInFlight + asks)
}
