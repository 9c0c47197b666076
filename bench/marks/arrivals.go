package marks

import (
	"slices"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Arrivals is what a sink knows of one run at a time.
type Arrivals struct {
	mu     sync.Mutex
	counts Counts   // guarded by mu
	ids    []uint64 // guarded by mu; by number: the hash of the id that it arrived with first, 0: it did not
	twice  Bits     // guarded by mu
}

// Counts are the sums of Arrivals.
type Counts struct {
	Run       Run       `json:"run"`
	Documents int64     `json:"documents"` // with a mark of the run
	Events    int64     `json:"events"`    // that arrived
	Doubled   int64     `json:"doubled"`   // of these, more than once
	Strays    int64     `json:"strays"`    // marks of other runs
	Latest    time.Time `json:"latest"`    // when an event last arrived for the first time
	Touched   time.Time `json:"touched"`   // when a document last came
}

// most bounds the numbers that are believed: 8 bytes are kept for each up to the greatest.
const most = 1 << 30

// Begin forgets the run before and counts this one.
func (a *Arrivals) Begin(run Run) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts, a.ids, a.twice = Counts{Run: run}, nil, nil
}

// Document notes a document and reports whether it is one that came before: all its events arrived with the same id.
func (a *Arrivals) Document(source []byte, id string) (again bool) {
	hash := xxhash.Sum64String(id) | 1 // never 0
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts.Touched = now
	var seen []int64
	known := 0
	for run, number, rest, ok := next(source); ok; run, number, rest, ok = next(rest) {
		if run != a.counts.Run {
			a.counts.Strays++
			continue
		}
		if number >= most || slices.Contains(seen, number) {
			continue
		}
		seen = append(seen, number)
		if a.eventLocked(number, hash, now) {
			known++
		}
	}
	if len(seen) > 0 {
		a.counts.Documents++
	}
	return len(seen) > 0 && known == len(seen)
}

// eventLocked notes one event and reports whether it came before with this id.
func (a *Arrivals) eventLocked(number int64, hash uint64, now time.Time) (known bool) {
	if grow := number + 1 - int64(len(a.ids)); grow > 0 {
		a.ids = append(a.ids, make([]uint64, grow)...)
	}
	switch a.ids[number] {
	case 0:
		a.ids[number] = hash
		a.counts.Events++
		a.counts.Latest = now
	case hash:
		return true
	default:
		if !a.twice.Has(number) {
			a.twice.Set(number)
			a.counts.Doubled++
		}
	}
	return false
}

// Counts returns the sums.
func (a *Arrivals) Counts() Counts {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.counts
}

// Arrived returns the numbers of the events that arrived.
func (a *Arrivals) Arrived() Bits {
	a.mu.Lock()
	defer a.mu.Unlock()
	arrived := make(Bits, (len(a.ids)+63)/64)
	for n, hash := range a.ids {
		if hash != 0 {
			arrived[n/64] |= 1 << (n % 64)
		}
	}
	return arrived
}
