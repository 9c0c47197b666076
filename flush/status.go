package flush

import (
	"sync"
	"time"

	"github.com/weirlog/weir/wal"
)

// Status is a snapshot for people and for the admin listener.
type Status struct {
	Destinations    []DestinationStatus `json:"destinations"`
	Streams         []StreamStatus      `json:"streams"`
	Settled         wal.Offset          `json:"settled_offset"` // of every stream
	Lag             uint64              `json:"lag_records"`    // of the stream that is furthest behind
	BatchesInFlight int                 `json:"batches_in_flight"`
	BytesInFlight   int64               `json:"bytes_in_flight"`
	OldestUnsettled time.Time           `json:"oldest_unsettled,omitzero"` // when it was received
	Failing         map[string]Failure  `json:"failing,omitempty"`         // by what is being tried
	LastError       *Failure            `json:"last_error,omitempty"`
	LastDelivery    time.Time           `json:"last_delivery,omitzero"`
	SettledRecords  uint64              `json:"settled_records"` // since the start, like the next ones
	Delivered       uint64              `json:"delivered"`
	Duplicates      uint64              `json:"duplicates"`
	FailureStore    uint64              `json:"failure_store"` // delivered, but into a failure store
	Dropped         uint64              `json:"dropped"`
	DeadLettered    uint64              `json:"dead_lettered"`
}

// StreamStatus is how far the delivery of one stream is.
type StreamStatus struct {
	Name        string     `json:"name"`
	Destination string     `json:"destination"`
	Settled     wal.Offset `json:"settled_offset"`
	Lag         uint64     `json:"lag_records"` // records of the log that it is behind, those of other streams included
	Condition              // of the stream's own index
	// Alone says that the stream reads the log by itself, because it is behind the others.
	Alone bool `json:"alone,omitempty"`
	// HoldsLog says that no stream is further behind: what comes after its checkpoint cannot be reclaimed.
	HoldsLog  bool             `json:"holds_log,omitempty"`
	Held      int              `json:"held_documents,omitempty"` // kept apart from their batches, because what they go to does not take them
	HeldBytes int64            `json:"held_bytes,omitempty"`
	Conflicts *ConflictExample `json:"conflicts,omitempty"`
}

// ConflictExample is a document whose id, which is not ours, was there already. Either the client sent the event twice, or it
// gave two events one id, and then the second one is not stored.
type ConflictExample struct {
	Count uint64    `json:"count"` // since the start
	Key   Key       `json:"key"`   // of the event that came second
	ID    string    `json:"id"`
	Index string    `json:"index"`
	At    time.Time `json:"at"`
}

// conflicts remembers the last of them.
type conflicts struct {
	mu   sync.Mutex
	last ConflictExample
}

func (l *lane) noteConflict(d *Document) {
	c := &l.conflicts
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = ConflictExample{Count: c.last.Count + 1, Key: d.Key, ID: d.ID, Index: d.Index, At: time.Now().UTC()}
}

func (c *conflicts) example() *ConflictExample {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last.Count == 0 {
		return nil
	}
	last := c.last
	return &last
}

// Status returns a snapshot of the delivery.
func (f *Flusher) Status() Status {
	st := f.health.status()
	durable := f.opts.Durable()
	for _, d := range f.destinations {
		ds := d.status()
		st.Destinations = append(st.Destinations, ds)
		st.fail("indexing into "+ds.Name, &ds.Condition)
	}
	for i, l := range f.lanes {
		s := l.status(durable)
		st.Streams = append(st.Streams, s)
		st.fail("indexing stream "+s.Name, &s.Condition)
		if i == 0 || s.Settled < st.Settled {
			st.Settled = s.Settled
		}
		runs, bytes, oldest, settled := l.tracker.load()
		st.BatchesInFlight += runs
		st.BytesInFlight += bytes
		st.SettledRecords += settled
		if !oldest.IsZero() && (st.OldestUnsettled.IsZero() || oldest.Before(st.OldestUnsettled)) {
			st.OldestUnsettled = oldest
		}
	}
	for i := range st.Streams {
		s := &st.Streams[i]
		s.HoldsLog = s.Settled == st.Settled && s.Lag > 0
		st.Lag = max(st.Lag, s.Lag)
	}
	st.Delivered, st.Duplicates, st.FailureStore, st.Dropped, st.DeadLettered = f.opts.Metrics.totals()
	return st
}

// fail adds a condition that holds delivery up.
func (st *Status) fail(doing string, c *Condition) {
	if c.State == StateOK || c.State == StateSlow {
		return
	}
	if c.State == StateParked {
		doing += " (parked until somebody acts; nothing is lost)"
	}
	st.Failing[doing] = Failure{Doing: doing, Error: c.Why, Since: c.Since, Last: c.Last, Attempts: c.Attempts}
}

func (l *lane) status(durable wal.Offset) StreamStatus {
	s := StreamStatus{
		Name: l.name, Destination: l.dest.name, Settled: l.watermark(), Condition: l.ownStanding.condition(), Conflicts: l.conflicts.example(),
	}
	if durable > s.Settled {
		s.Lag = uint64(durable - s.Settled)
	}
	s.Held, s.HeldBytes = l.held.load()
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	s.Alone = len(l.f.lanes) > 1 && len(l.cursor.lanes) == 1
	return s
}
