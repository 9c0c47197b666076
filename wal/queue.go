package wal

import (
	"slices"
	"time"
)

// group is the appends that share one write and one fsync.
type group struct {
	requests []request
	bytes    int
	done     chan struct{} // closed when firsts and err are set
	err      error
}

type request struct {
	origin Origin
	events []Event
	first  Offset
}

// openGroupLocked returns the group that an append of the given size joins.
func (l *Log) openGroupLocked(size int) *group {
	if n := len(l.queue); n > 0 {
		if g := l.queue[n-1]; g.bytes+size <= l.opts.frameBytes {
			return g
		}
	}
	g := &group{done: make(chan struct{})}
	l.queue = append(l.queue, g)
	return g
}

// takeInCompany returns the next group, or nil and how long to wait for one.
func (l *Log) takeInCompany() (g *group, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	queued := l.queuedLocked()
	switch wait = l.company.linger(queued); {
	case queued == 0:
		return nil, time.Hour
	case wait > 0 && len(l.queue) == 1: // a second group is there because the first is full
		return nil, wait
	}
	return l.takeLocked(), 0
}

// queuedLocked returns how many appends are queued.
func (l *Log) queuedLocked() int {
	n := 0
	for _, g := range l.queue {
		n += len(g.requests)
	}
	return n
}

// take returns the next group, or nil when nothing is queued.
func (l *Log) take() *group {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.takeLocked()
}

// takeLocked is take for who holds l.mu.
func (l *Log) takeLocked() *group {
	if len(l.queue) == 0 {
		return nil
	}
	g := l.queue[0]
	l.queue = slices.Delete(l.queue, 0, 1)
	return g
}
