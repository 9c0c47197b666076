package main

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/weirlog/weir/flush/checkpoint"
	"github.com/weirlog/weir/wal"
)

// walReport is GET /api/v1/wal.
type walReport struct {
	Status   wal.Status        `json:"status"`
	Segments []wal.SegmentInfo `json:"segments"`
	Streams  []streamStatus    `json:"streams"`
	Lag      uint64            `json:"lag_records"`
	// Clean and TornBytes are known of a stopped log: whether it was closed in order, and how many bytes
	// of groups that never became whole the next start sets aside.
	Clean     *bool `json:"clean,omitempty"`
	TornBytes int64 `json:"torn_bytes,omitempty"`
	// LostBegin, LostEnd and Database say what else the next start of a stopped log finds.
	LostBegin *damageView `json:"lost_begin,omitempty"`
	LostEnd   *damageView `json:"lost_end,omitempty"`
	Database  string      `json:"weir_db,omitempty"` // why weir.db cannot be used as it is
	// Home and Elsewhere are as in statusReport.
	Home      *checkpoint.Home `json:"home"`
	Elsewhere string           `json:"elsewhere,omitempty"`
}

func (a *admin) getWAL(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.query(r); err != nil {
		return err
	}
	rep := walReport{Status: a.log.Status(), Segments: a.log.Segments()}
	if rep.Status.MaxBytes == 0 {
		rep.Status.MaxBytes = int64(a.cfg.WAL.MaxBytes)
	}
	rep.Streams = a.streamStatus(&rep.Status)
	for _, s := range rep.Streams {
		rep.Lag = max(rep.Lag, s.Lag)
	}
	if a.view != nil {
		clean, torn := a.view.log.Clean()
		rep.Clean, rep.TornBytes = &clean, torn
		rep.LostBegin, rep.LostEnd = newDamageView(a.view.log.LostBegin()), newDamageView(a.view.log.LostEnd())
		if err := a.view.databaseFault(); err != nil {
			rep.Database = err.Error()
		}
	}
	rep.Home, rep.Elsewhere = a.lastHome()
	writeJSON(w, http.StatusOK, rep)
	return nil
}

// damageView is a wal.CorruptionError in JSON.
type damageView struct {
	Part     string     `json:"part,omitempty"` // of the data directory
	Segment  string     `json:"segment"`
	Position int64      `json:"position"`
	Length   int64      `json:"length"`
	First    wal.Offset `json:"first_offset"`
	Last     wal.Offset `json:"last_offset"` // below first_offset when the damage cost no record
	Kept     string     `json:"kept,omitempty"`
	Reason   string     `json:"reason"`
}

func newDamageView(d *wal.CorruptionError) *damageView {
	if d == nil {
		return nil
	}
	v := &damageView{Segment: d.Segment, Position: d.Position, Length: d.Length, First: d.First, Last: d.Last, Kept: d.Kept}
	if d.Err != nil {
		v.Reason = d.Err.Error()
	}
	return v
}

// recordView is a record in JSON.
type recordView struct {
	Offset     wal.Offset  `json:"offset"`
	Count      uint64      `json:"count,omitempty"` // of offsets that a damaged record stands for
	Epoch      string      `json:"epoch"`
	Stream     string      `json:"stream,omitempty"`
	ReceivedAt time.Time   `json:"received_at,omitzero"`
	Remote     netip.Addr  `json:"remote,omitzero"`
	Rejected   bool        `json:"rejected,omitempty"`
	Reason     string      `json:"reason,omitempty"`
	Event      *exactBytes `json:"event,omitempty"`
	Damage     *damageView `json:"damage,omitempty"`
}

func newRecordView(rec *wal.Record) *recordView {
	v := &recordView{
		Offset: rec.Offset, Epoch: rec.Epoch.String(), Stream: rec.Stream, ReceivedAt: rec.ReceivedAt, Remote: rec.Remote,
		Rejected: rec.Flags&wal.FlagRejected != 0, Reason: rec.Reason, Event: newExactBytes(rec.Payload), Damage: newDamageView(rec.Damage),
	}
	if rec.Flags&wal.FlagDamaged != 0 {
		v.Count, v.Event = rec.Count, nil
	}
	return v
}

// browse returns the log for reading beside the service.
func (a *admin) browse() (logView, error) {
	if !a.online() {
		return a.log, nil
	}
	return browseLog(layoutOf(a.cfg.DataDir).wal, a.log)
}

// browseLog opens a log that is being written for reading beside its owner. The service's own readers count what they cannot
// read as damage and keep copies; a segment that was reclaimed while somebody leafed through the log must
// not end among those.
func browseLog(dir string, log logView) (logView, error) {
	durable := log.Status().DurableOffset
	snapshot, err := wal.OpenSnapshot(dir)
	if err != nil {
		return nil, err
	}
	return &durableView{snapshot, durable}, nil
}

// durableView is a snapshot of a log that somebody writes: what was not durable before does not count.
type durableView struct {
	*wal.Snapshot
	durable wal.Offset
}

func (v *durableView) Status() wal.Status {
	st := v.Snapshot.Status()
	st.DurableOffset = min(st.DurableOffset, v.durable)
	return st
}

// reclaimed reports damage that is none: a segment that is gone because all its records are settled.
func reclaimed(d *wal.CorruptionError, first wal.Offset) bool {
	return d.Length == 0 && d.Last < first
}

// getRecords streams the records from one offset to another, both included. It ends at what is durable
// when it begins.
func (a *admin) getRecords(w http.ResponseWriter, r *http.Request) error {
	q, err := a.query(r, "from", "to", "limit", "stream")
	if err != nil {
		return err
	}
	from, to, limit, only := q.offset("from"), q.offset("to"), q.number("limit"), q.text("stream")
	if q.err != nil {
		return q.err
	}
	log, err := a.browse()
	if err != nil {
		return err
	}
	st := log.Status()
	from = max(from, st.FirstOffset) // what lies before is settled and gone
	if to == 0 || to > st.DurableOffset {
		to = st.DurableOffset
	}
	out := newStream(w, contentTypeND)
	reader := log.NewReader(from)
	defer reader.Close()
	for given := 0; reader.Position() <= to && (limit == 0 || given < limit); {
		rec, err := reader.Next(r.Context())
		if err != nil {
			return err
		}
		if rec.Offset > to {
			break
		}
		if rec.Damage != nil && reclaimed(rec.Damage, a.log.Status().FirstOffset) {
			continue
		}
		if only != "" && rec.Stream != only && rec.Damage == nil {
			continue
		}
		given++
		if err := out.line(newRecordView(&rec), false); err != nil {
			return err
		}
	}
	return out.flush()
}
