package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/weirlog/weir/lua"
)

// scriptView is a script with its limits, as streams use it.
type scriptView struct {
	lua.Status
	Name      string      `json:"name"` // the path, with limits where another one has the same
	Streams   []string    `json:"streams"`
	Timeout   string      `json:"timeout"`
	MaxMemory string      `json:"max_memory"`
	Report    *lua.Report `json:"report,omitempty"` // of the last changed version that was tried; not in the status
}

// scriptViews lists the scripts in order. Reports hold events, and are for those who ask for them.
func (a *admin) scriptViews(reports bool) []scriptView {
	list := []scriptView{}
	for _, key := range a.cfg.scriptKeys() {
		t := a.scripts[key]
		if t == nil { // a command that opened none
			continue
		}
		status, _ := t.Status().(lua.Status)
		v := scriptView{Status: status, Name: a.cfg.scriptName(key), Streams: a.cfg.scriptStreams(key), Timeout: key.timeout.String(), MaxMemory: key.maxMemory.String()}
		if reports {
			v.Report = t.Report()
		}
		list = append(list, v)
	}
	return list
}

func (a *admin) getScripts(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.query(r); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"scripts": a.scriptViews(true)})
	return nil
}

func (a *admin) postReload(w http.ResponseWriter, r *http.Request) error {
	q, err := a.query(r, "force")
	if err != nil {
		return err
	}
	force := q.flag("force")
	if q.err != nil {
		return q.err
	}
	if a.reload == nil {
		return apiErrorf(http.StatusConflict, "not_running", "no service runs; there is nothing to reload")
	}
	// Not the client's context: half a reload helps nobody.
	if err := a.reload(context.WithoutCancel(r.Context()), force); err != nil {
		return apiErrorf(http.StatusUnprocessableEntity, "reload_refused", "what was in force there stays: %s", err)
	}
	a.logger.Info("reloaded by request", slog.String("remote", r.RemoteAddr), slog.Bool("force", force))
	writeJSON(w, http.StatusOK, map[string]any{"reloaded": true, "scripts": a.scriptViews(false)})
	return nil
}

// scriptNotes says what an operator should know of a script whose newest version is not in force.
func scriptNotes(s *scriptView, add func(command, format string, args ...any)) {
	if s.InShadow {
		add("", "the newest version of %s is refused, the one before is in force: %s; examples are on the page and at /api/v1/scripts", s.Name, s.Refused)
	} else if s.Refused != "" {
		add("weir lua test "+s.Script, "the newest version of %s is refused, the one before is in force: %s", s.Name, s.Refused)
	}
	if r := s.RolledBack; r != nil {
		add(r.Replay, "version %s of %s was rolled back at %s, version %s is in force again: %s", r.Version, s.Name, r.At.Format(time.RFC3339), r.To, r.Why())
	}
}

// InForce counts the events of the version in force.
func (s *scriptView) InForce() lua.VersionCount {
	for _, v := range s.Versions {
		if v.Version == s.Version {
			return v
		}
	}
	return lua.VersionCount{Version: s.Version}
}

// Line tells of a script in one line.
func (s *scriptView) Line(now time.Time) string {
	counts := s.InForce()
	text := fmt.Sprintf("%s %s, in force for %s: %s, %s failed", s.Name, s.Version, humanDuration(max(0, now.Sub(s.InForceSince)).Truncate(time.Second)),
		counted(int(counts.Events), "event", "events"), humanCount(counts.Failed))
	switch r := s.RolledBack; {
	case r != nil:
		text += fmt.Sprintf("; version %s was rolled back %s", r.Version, ago(now, r.At))
	case s.Refused != "":
		text += "; the newest version is refused"
	case !s.OnTrialUntil.IsZero():
		text += fmt.Sprintf("; on trial for another %s", humanDuration(max(0, s.OnTrialUntil.Sub(now)).Truncate(time.Second)))
	}
	return text
}

// shadowPart is a class of events of a report, in words.
type shadowPart struct {
	Class lua.Class
	Count int
	Says  string
}

// Parts lists the classes that a script's last report has events of, those that worry first.
func (s *scriptView) Parts() []shadowPart {
	sh := &s.Report.Shadow
	parts := []shadowPart{
		{lua.ClassFailed, sh.Failed, "fail now and did not before"}, {lua.ClassDropped, sh.Dropped, "are dropped now and were delivered before"},
		{lua.ClassChanged, sh.Changed, "become other documents"}, {lua.ClassMended, sh.Mended, "failed before and do not now"},
		{lua.ClassRestored, sh.Restored, "were dropped before and are delivered now"}, {lua.ClassSame, sh.Same, "come out the same"},
	}
	return slices.DeleteFunc(parts, func(p shadowPart) bool { return p.Count == 0 })
}

// Examples lists the examples of a class.
func (s *scriptView) Examples(c lua.Class) []lua.Example {
	var list []lua.Example
	for _, e := range s.Report.Shadow.Examples {
		if e.Class == c {
			list = append(list, e)
		}
	}
	return list
}

// State says in a few words how the newest version of a script fares.
func (s *scriptView) State() string {
	switch {
	case s.RolledBack != nil:
		return "rolled back"
	case s.Refused != "":
		return "newest refused"
	case !s.OnTrialUntil.IsZero():
		return "on trial"
	}
	return "in force"
}
