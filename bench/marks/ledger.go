package marks

import "sync"

// Ledger numbers the events of a run and knows which were acknowledged. The zero value is ready.
type Ledger struct {
	mu    sync.Mutex
	taken int64 // guarded by mu
	acked Bits  // guarded by mu
}

// Take gives the next n events their numbers and returns the first.
func (l *Ledger) Take(n int) (first int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first = l.taken
	l.taken += int64(n)
	return first
}

// Acknowledge notes that n events from first on were acknowledged.
func (l *Ledger) Acknowledge(first int64, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range int64(n) {
		l.acked.Set(first + i)
	}
}

// Acked returns how many events were acknowledged.
func (l *Ledger) Acked() int64 { return l.Compare(nil).Acked }

// Verdict is what became of a run.
type Verdict struct {
	Sent, Acked  int64
	Lost         int64 // acknowledged and not arrived
	Unanswered   int64 // sent and not acknowledged; neither lost nor wrong
	UnansweredIn int64 // of these, arrived nevertheless
}

// Compare holds the ledger against what arrived.
func (l *Ledger) Compare(arrived Bits) Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := Verdict{Sent: l.taken, Acked: l.acked.Count(), Lost: l.acked.Without(arrived), UnansweredIn: arrived.Without(l.acked)}
	v.Unanswered = v.Sent - v.Acked
	return v
}
