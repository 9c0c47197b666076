package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirlog/weir/wal"
)

// asideRebuilt is the kind of a weir.db that was made anew. The other kinds are those of package wal.
const asideRebuilt = wal.AsideKind("rebuilt")

// asideView is one thing that was set aside since the start, because it could not be used.
type asideView struct {
	At   time.Time     `json:"at"`
	Kind wal.AsideKind `json:"kind"`
	damageView
}

// asideStatus is what was set aside since the start.
type asideStatus struct {
	Torn     int         `json:"torn"`     // ends that were never whole: nothing is lost
	Damaged  int         `json:"damaged"`  // places
	Records  uint64      `json:"records"`  // that cannot be read for it
	LostEnds int         `json:"lost_end"` // logs that ended before the end that they are known to have had
	Rebuilt  int         `json:"rebuilt"`  // 1 when weir.db was made anew
	Last     []asideView `json:"last"`     // the newest first
}

// asidesKept is how many of them are shown.
const asidesKept = 8

// asides remembers for people and metrics what was set aside since the start. All methods are safe for concurrent use.
type asides struct {
	now     func() time.Time
	counter *prometheus.CounterVec

	mu     sync.Mutex
	status asideStatus // guarded by mu, like the next one
	seen   map[place]bool
}

// place tells damage apart: readers meet the same again and again.
type place struct {
	part, segment string
	kind          wal.AsideKind
	position      int64
	first         wal.Offset
}

// placesKept bounds the memory of a disk that falls to pieces.
const placesKept = 100_000

func newAsides(reg prometheus.Registerer) *asides {
	a := &asides{now: time.Now, seen: map[place]bool{}, status: asideStatus{Last: []asideView{}}, counter: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_set_aside_total", Help: "Things of the data directory that could not be used and were set aside since the start, by part and kind.",
	}, []string{"part", "kind"})}
	for _, part := range []string{partLog, partDead, partRefused} {
		for _, kind := range []wal.AsideKind{wal.AsideTorn, wal.AsideDamage, wal.AsideLostEnd} {
			a.counter.WithLabelValues(part, string(kind)) // a series from the start, or its first increase is missed
		}
	}
	a.counter.WithLabelValues(partDB, string(asideRebuilt))
	reg.MustRegister(a.counter)
	return a
}

// of returns what a log of the data directory tells when it sets something aside.
func (a *asides) of(part string) func(wal.Aside) {
	if a == nil {
		return nil
	}
	return func(w wal.Aside) {
		view := *newDamageView(&w.CorruptionError)
		view.Part = part
		if view.Kept != "" {
			view.Kept = filepath.Join("repair", view.Kept)
		}
		a.add(asideView{At: a.now().UTC(), Kind: w.Kind, damageView: view})
	}
}

// rebuilt notes that weir.db was made anew. kept is the path of the damaged one, "" when it was missing.
func (a *asides) rebuilt(kept string) {
	v := asideView{At: a.now().UTC(), Kind: asideRebuilt, damageView: damageView{Part: partDB, First: 1, Reason: "it was missing"}}
	if kept != "" {
		v.Kept, v.Reason = filepath.Base(kept), "it was damaged"
	}
	a.add(v)
}

func (a *asides) add(v asideView) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := place{v.Part, v.Segment, v.Kind, v.Position, v.First}
	if a.seen[at] {
		return
	}
	if len(a.seen) < placesKept {
		a.seen[at] = true
	}
	st := &a.status
	switch v.Kind {
	case wal.AsideTorn:
		st.Torn++
	case wal.AsideDamage:
		st.Damaged++
		if v.Last >= v.First {
			st.Records += uint64(v.Last + 1 - v.First)
		}
	case wal.AsideLostEnd:
		st.LostEnds++
	case asideRebuilt:
		st.Rebuilt++
	}
	a.counter.WithLabelValues(v.Part, string(v.Kind)).Inc()
	st.Last = slices.Insert(st.Last, 0, v)
	st.Last = st.Last[:min(len(st.Last), asidesKept)]
}

// report returns a copy of what is known; nil for a nil receiver, as in commands.
func (a *asides) report() *asideStatus {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	st := a.status
	st.Last = slices.Clone(st.Last)
	return &st
}

func (st *asideStatus) any() bool {
	return st != nil && st.Torn+st.Damaged+st.LostEnds+st.Rebuilt > 0
}

// text says on one line how much was set aside since the start, and what last.
func (st *asideStatus) text() string {
	var parts []string
	if st.Damaged > 0 {
		parts = append(parts, fmt.Sprintf("%s damaged (%s lost)", counted(st.Damaged, "place", "places"), plural(st.Records, "record", "records")))
	}
	if st.LostEnds > 0 {
		parts = append(parts, counted(st.LostEnds, "log has lost its end", "logs have lost their ends"))
	}
	if st.Rebuilt > 0 {
		parts = append(parts, "weir.db made anew")
	}
	if st.Torn > 0 {
		parts = append(parts, counted(st.Torn, "torn end set aside", "torn ends set aside")+" (no loss)")
	}
	text := ""
	for i, p := range parts {
		if i > 0 {
			text += ", "
		}
		text += p
	}
	return text + "; the last: " + st.Last[0].Text()
}

// Text describes one thing that was set aside.
func (v *asideView) Text() string {
	text := v.Part
	if v.Segment != "" {
		text += fmt.Sprintf(", segment %s at byte %d (%s)", v.Segment, v.Position, humanBytes(v.Length))
	}
	switch {
	case v.Kind == wal.AsideTorn:
		text += ", torn: it was never whole, nothing is lost"
	case v.Kind == asideRebuilt:
		text += ", made anew: " + v.Reason + "; what is in the log is delivered again under the same ids"
	case v.Last >= v.First:
		text += fmt.Sprintf(", offsets %d to %d: %s", v.First, v.Last, v.Reason)
	default:
		text += ", no record lost: " + v.Reason
	}
	if v.Kept != "" {
		text += "; kept as " + v.Kept
	}
	return text
}
