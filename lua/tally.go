package lua

import "sync/atomic"

// maxTallies is how many versions of a script are remembered; the one that came first goes first.
const maxTallies = 16

// tally counts the events of one version of a script since the process began. A version that comes into force again
// goes on counting where it stood.
type tally struct {
	version string
	events  atomic.Uint64
	failed  atomic.Uint64
}

// VersionCount is how many events a version of a script was given since the process began, and how many of them failed.
type VersionCount struct {
	Version string `json:"version"`
	Events  uint64 `json:"events"`
	Failed  uint64 `json:"failed"`
}

// tallyOfLocked returns the tally of a version, a new one when it has none. The caller holds t.mu.
func (t *Transformer) tallyOfLocked(version string) *tally {
	for _, c := range t.tallies {
		if c.version == version {
			return c
		}
	}
	if len(t.tallies) == maxTallies {
		t.tallies = append(t.tallies[:0], t.tallies[1:]...)
	}
	c := &tally{version: version}
	t.tallies = append(t.tallies, c)
	return c
}

// latelyEvents is how many events the share of failed ones looks back. It is a number of events and not a time, so that
// a quiet stream is judged by as many as a busy one, and nobody has to look at a clock for each event.
const latelyEvents = 10_000

// lately is the share of events that failed among the last ones: of at most latelyEvents, older ones count less and
// less. Guarded by the pool that it belongs to. It is brought up to date when an event fails, and not before.
type lately struct {
	events, failed float64
	seen           uint64 // of the tally's events
}

// advance takes the events up to total into account.
func (l *lately) advance(total uint64) {
	l.events += float64(total - l.seen)
	l.seen = total
	if l.events > latelyEvents {
		l.failed *= latelyEvents / l.events
		l.events = latelyEvents
	}
}

// share is that of the failed ones, from 0 to 1; 0 where there was no event.
func (l *lately) share() float64 { return share(l.failed, l.events) }

func share(failed, events float64) float64 {
	if events == 0 {
		return 0
	}
	return failed / events
}
