package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/checkpoint"
	"github.com/weirlog/weir/flush/deadletter"
	"github.com/weirlog/weir/flush/local"
	"github.com/weirlog/weir/wal"
)

// The states of a weir, the worst first.
const (
	stateStopped  = "stopped"  // no service runs
	stateRefusing = "refusing" // new events are refused
	stateHeldUp   = "held up"  // events are taken, delivery is not getting on
	stateOK       = "ok"
)

// statusReport is GET /api/v1/status: everything that fits on one screen.
type statusReport struct {
	State         string             `json:"state"`
	Why           string             `json:"why,omitempty"` // unless ok
	Notes         []note             `json:"notes"`         // what else wants to be looked at
	Version       versionInfo        `json:"version"`
	PID           int                `json:"pid"`
	DataDir       string             `json:"data_dir"`
	Now           time.Time          `json:"now"`
	Started       time.Time          `json:"started,omitzero"`
	UptimeSeconds float64            `json:"uptime_seconds"`
	Destination   string             `json:"destination"`
	Servers       []serverStatus     `json:"servers"` // who the destinations are; empty for the embedded one
	Log           *wal.Status        `json:"log"`
	Flush         *flush.Status      `json:"flush"` // null when no service runs
	Lag           uint64             `json:"lag_records"`
	Rates         *rates             `json:"rates"` // null in the first seconds, and when no service runs
	DeadLetters   *deadletter.Status `json:"dead_letters"`
	Refused       *deadletter.Status `json:"refused"`
	Store         *local.Stats       `json:"store"` // null when an Elasticsearch is the destination
	Streams       []streamStatus     `json:"streams"`
	Scripts       []scriptView       `json:"scripts"`
	Repair        repairStatus       `json:"repair"`
	SetAside      *asideStatus       `json:"set_aside"`           // since the start; null when no service runs
	Home          *checkpoint.Home   `json:"home"`                // where the data directory is used, or was last
	Elsewhere     string             `json:"elsewhere,omitempty"` // what is said of a directory that was last used elsewhere
}

// note is something that an operator should know, with the command that shows more.
type note struct {
	Text    string `json:"text"`
	Command string `json:"command,omitempty"`
}

// streamStatus is how far one stream is.
type streamStatus struct {
	Name       string     `json:"name"`
	Checkpoint wal.Offset `json:"checkpoint"`
	Lag        uint64     `json:"lag_records"` // of the log from the checkpoint on, records of other streams included
	Index      string     `json:"index"`
	Script     string     `json:"script,omitempty"`
	Version    string     `json:"script_version,omitempty"`

	Delivery *flush.StreamStatus `json:"delivery,omitempty"` // null when no service runs
}

// repairStatus is what was set aside because it was damaged or torn.
type repairStatus struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

func (a *admin) getStatus(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.query(r); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, a.status())
	return nil
}

func (a *admin) status() *statusReport {
	now := a.now()
	st := &statusReport{
		Version: currentVersion(), PID: os.Getpid(), DataDir: a.cfg.DataDir, Now: now.UTC(), Started: a.started.UTC(),
		Destination: a.cfg.destinationNames(), Rates: a.rates.rates(), Scripts: a.scriptViews(false), Notes: []note{}, Servers: []serverStatus{},
		Repair: lookAtRepair(layoutOf(a.cfg.DataDir).repair), SetAside: a.asides.report(),
	}
	st.Home, st.Elsewhere = a.lastHome()
	if a.log != nil {
		log := a.log.Status()
		if log.MaxBytes == 0 { // a stopped log does not know its limit
			log.MaxBytes = int64(a.cfg.WAL.MaxBytes)
		}
		st.Log = &log
	}
	if a.letters != nil {
		letters, refused := a.letters.Status(), a.refused.Status()
		st.DeadLetters, st.Refused = &letters, &refused
	} else if v := a.view; v != nil {
		letters, refused := v.letterIndex.Status, v.refusedIndex.Status
		letters.MaxBytes, letters.LogBytes = int64(a.cfg.DeadLetters.MaxBytes), v.dead.Status().Bytes
		letters.DropsOldest, letters.MaxAge = a.cfg.DeadLetters.OnFull == onFullDropOldest, a.cfg.DeadLetters.MaxAge.Std()
		letters.Full = !letters.DropsOldest && letters.MaxBytes > 0 && letters.Bytes >= letters.MaxBytes
		letters.NearlyFull = deadletter.NearlyFull(letters.Bytes, letters.MaxBytes)
		refused.MaxBytes, refused.LogBytes = int64(a.cfg.DeadLetters.RefusedMaxBytes), v.refused.Status().Bytes
		st.DeadLetters, st.Refused = &letters, &refused
	}
	if a.store != nil {
		stats := a.store.Stats()
		st.Store = &stats
	}
	st.Streams = a.streamStatus(st.Log)
	for _, s := range st.Streams {
		st.Lag = max(st.Lag, s.Lag)
	}
	if a.online() {
		fl := a.flusher.Status()
		st.Flush, st.Lag, st.Destination, st.Servers = &fl, fl.Lag, a.destinations(&fl), a.servers(&fl)
		for i := range st.Streams {
			at := slices.IndexFunc(fl.Streams, func(s flush.StreamStatus) bool { return s.Name == st.Streams[i].Name })
			if at >= 0 {
				st.Streams[i].Delivery = &fl.Streams[at]
			}
		}
		st.UptimeSeconds = now.Sub(a.started).Seconds()
	}
	a.judge(st)
	return st
}

// lastHome returns where the data directory is used, or was last, and what is to be said of it.
func (a *admin) lastHome() (*checkpoint.Home, string) {
	if a.home != nil {
		return a.home, a.elsewhere
	}
	last, ok := a.db.Home()
	if !ok {
		return nil, ""
	}
	return &last, elsewhere(last, currentHome(a.cfg.DataDir, a.now()))
}

// destinations names where documents go.
func (a *admin) destinations(fl *flush.Status) string {
	names := make([]string, len(fl.Destinations))
	for i := range fl.Destinations {
		names[i] = fl.Destinations[i].Name
	}
	return strings.Join(names, " and ")
}

// destinationNames says where documents go when no sink is open to ask.
func (c *Config) destinationNames() string {
	var names []string
	for _, d := range c.Destinations() {
		if d.es.embedded() {
			names = append(names, "embedded")
		} else {
			names = append(names, d.es.hosts())
		}
	}
	return strings.Join(names, " and ")
}

func (a *admin) streamStatus(log *wal.Status) []streamStatus {
	list := []streamStatus{}
	for _, name := range a.cfg.StreamNames() {
		s := streamStatus{Name: name, Index: a.cfg.StreamIndex(name), Script: a.cfg.Streams[name].Transform.Script}
		if t := a.scripts[a.cfg.scriptKey(name)]; t != nil {
			s.Version = t.Version()
		}
		if p, ok := a.db.Position(name); ok {
			s.Checkpoint = p.Offset
		}
		if log != nil && log.DurableOffset > s.Checkpoint {
			s.Lag = uint64(log.DurableOffset - max(s.Checkpoint, log.FirstOffset-1))
		}
		list = append(list, s)
	}
	return list
}

// judge says in which state all of it is, and why.
func (a *admin) judge(st *statusReport) {
	st.State = stateOK
	switch err := a.notReady(); {
	case !a.online():
		st.State, st.Why = stateStopped, "no service runs; this is the data directory as it lies"
	case err != nil:
		st.State, st.Why = stateRefusing, "new events are refused with 503: "+err.Error()
	case len(st.Flush.Failing) > 0:
		st.State, st.Why = stateHeldUp, failingText(st.Flush.Failing, a.now())
	}
	add := func(command, format string, args ...any) {
		st.Notes = append(st.Notes, note{Text: fmt.Sprintf(format, args...), Command: command})
	}
	if st.Flush != nil && len(st.Flush.Failing) > 0 && st.State != stateHeldUp {
		add("", "delivery is held up: %s", failingText(st.Flush.Failing, a.now()))
	}
	for i := range st.Streams {
		if d := st.Streams[i].Delivery; d != nil {
			streamNotes(d, add)
		}
	}
	for _, n := range lettersNotes(st.DeadLetters) {
		add("weir dlq stats", "%s", n)
	}
	if log := st.Log; log != nil && log.MaxBytes > 0 && log.Bytes*10 > log.MaxBytes*8 {
		add("weir wal info", "the log is %d %% full; at its limit new events are refused", log.Bytes*100/log.MaxBytes)
	}
	for i := range st.Scripts {
		scriptNotes(&st.Scripts[i], add)
	}
	if st.SetAside.any() {
		add("weir wal verify", "since the start: %s", st.SetAside.text())
	}
	if a.view != nil {
		for _, text := range a.view.notes() {
			add("weir wal repair --dry-run", "%s", text)
		}
	}
	if st.Elsewhere != "" {
		add("", "%s", st.Elsewhere)
	}
	if st.Repair.Files > 0 {
		add("weir wal verify", "%s (%s) in repair/: bytes that were damaged or torn", counted(st.Repair.Files, "file lies", "files lie"), humanBytes(st.Repair.Bytes))
	}
	if st.Store != nil && st.Store.Damaged > 0 {
		add("", "%d parts of the embedded destination were damaged and set aside (store/*.damaged)", st.Store.Damaged)
	}
}

// lettersNotes says what an operator should know of the dead letters: before the limit, at it, and what went by itself.
func lettersNotes(s *deadletter.Status) []string {
	var notes []string
	if s == nil {
		return nil
	}
	share := int64(0)
	if s.MaxBytes > 0 {
		share = s.Bytes * 100 / s.MaxBytes
	}
	switch {
	case s.Full:
		notes = append(notes, "dead letters are full: delivery waits until some are replayed or dropped, or dead_letters.max_bytes is raised")
	case s.NearlyFull && s.DropsOldest:
		notes = append(notes, fmt.Sprintf("dead letters are at %d %% of dead_letters.max_bytes, where the oldest are dropped", share))
	case s.NearlyFull:
		notes = append(notes, fmt.Sprintf("dead letters are at %d %% of dead_letters.max_bytes, where delivery waits", share))
	}
	if r := s.Removed; r.Limit > 0 {
		notes = append(notes, fmt.Sprintf("since the start %s dropped to make room (dead_letters.on_full: drop_oldest)", counted(int(r.Limit), "dead letter was", "dead letters were")))
	}
	if r := s.Removed; r.Age > 0 {
		notes = append(notes, fmt.Sprintf("since the start %s dropped, older than dead_letters.max_age (%s)", counted(int(r.Age), "dead letter was", "dead letters were"), Duration(s.MaxAge)))
	}
	return notes
}

// failingText lists what does not work, the oldest trouble first.
func failingText(failing map[string]flush.Failure, now time.Time) string {
	list := make([]flush.Failure, 0, len(failing))
	for _, f := range failing {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b flush.Failure) int { return a.Since.Compare(b.Since) })
	var b strings.Builder
	for i, f := range list {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s has been failing for %s (%d attempts): %s", f.Doing, humanDuration(max(0, now.Sub(f.Since)).Truncate(time.Second)), f.Attempts, f.Error)
	}
	return b.String()
}

// lookAtRepair counts the files below repair/. What cannot be read counts as nothing.
func lookAtRepair(dir string) repairStatus {
	var st repairStatus
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return fs.SkipDir
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			st.Files++
			st.Bytes += info.Size()
		}
		return nil
	})
	return st
}

// causeCache keeps the groups of dead letters for the page: a look at all letters takes its time, and
// the page is asked for every few seconds.
type causeCache struct {
	mu     sync.Mutex
	groups []deadletter.Group // guarded by mu, like the next ones
	until  time.Time
}

// Kept for at least causesFor, and so long that making them takes a twentieth of the time.
const (
	causesFor   = 5 * time.Second
	causesShare = 20
	causesShown = 8
)

// causes returns the troubles that were seen last.
func (a *admin) causes(ctx context.Context) ([]deadletter.Group, error) {
	if a.letters == nil {
		return nil, nil
	}
	a.cause.mu.Lock()
	defer a.cause.mu.Unlock()
	begin := a.now()
	// None is never remembered: the first letters must show beside their count.
	if begin.Before(a.cause.until) && len(a.cause.groups) > 0 {
		return a.cause.groups, nil
	}
	groups, err := a.letterGroups(ctx, deadletter.Filter{}, false)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(groups, func(a, b deadletter.Group) int { return b.Last.Compare(a.Last) })
	a.cause.groups = slices.Clip(groups[:min(len(groups), causesShown)])
	end := a.now()
	a.cause.until = end.Add(max(causesFor, causesShare*end.Sub(begin)))
	return a.cause.groups, nil
}
