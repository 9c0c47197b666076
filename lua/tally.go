package lua

import (
	"slices"
	"sync/atomic"
)

// maxTallies is how many versions of a script are remembered.
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

// tallyOfLocked returns the tally of a version that comes into force, a new one when it has none. The caller holds t.mu.
func (t *Transformer) tallyOfLocked(version string) *tally {
	c := &tally{version: version}
	if at := slices.IndexFunc(t.tallies, func(c *tally) bool { return c.version == version }); at >= 0 {
		c = t.tallies[at]
	}
	t.inForceLocked(c)
	return c
}

// inForceLocked puts a tally last. The version that was in force the longest time ago is forgotten first.
func (t *Transformer) inForceLocked(c *tally) {
	t.tallies = slices.DeleteFunc(t.tallies, func(other *tally) bool { return other == c })
	t.tallies = append(t.tallies, c)
	if len(t.tallies) > maxTallies {
		t.tallies = slices.Delete(t.tallies, 0, 1)
	}
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
