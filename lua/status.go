package lua

import "time"

// Status is what the status page shows of the script.
type Status struct {
	Script       string    `json:"script"`
	Version      string    `json:"version"`
	InForceSince time.Time `json:"in_force_since"`
	LoadedAt     time.Time `json:"loaded_at,omitzero"`          // zero until the first reload
	OnTrialUntil time.Time `json:"on_trial_until,omitzero"`     // the version can be rolled back until then; zero when it cannot
	Refused      string    `json:"refused,omitempty"`           // why the file as it is now is not in force
	InShadow     bool      `json:"refused_in_shadow,omitempty"` // it was refused for what the report shows
	RolledBack   *Rollback `json:"rolled_back,omitempty"`       // the same, of a file whose version was rolled back
	// Versions counts the events of the last 16 versions, in the order in which they came into force last. Letters that
	// are replayed do not count.
	Versions []VersionCount `json:"versions"`
}

// Status reports which script is in force.
func (t *Transformer) Status() any {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.current.Load()
	s := Status{
		Script: t.opts.Script, Version: p.prog.version, InForceSince: t.since, LoadedAt: t.loaded,
		OnTrialUntil: p.onTrialUntil(t.opts.clock()), Versions: make([]VersionCount, len(t.tallies)),
	}
	for i, c := range t.tallies {
		s.Versions[i] = VersionCount{c.version, c.events.Load(), c.failed.Load()}
	}
	if r, ok := t.refused.(*Rollback); ok {
		s.RolledBack = r
	} else if t.refused != nil {
		s.Refused = t.refused.Error()
		_, s.InShadow = t.refused.(*shadowError)
	}
	return s
}

// Report returns what was found out about the last changed version that compiled and passed its tests; nil when there was
// none since the start. It must not be changed.
func (t *Transformer) Report() *Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.report
}

// onTrialUntil returns when the version has stood its trial, the zero time for one that is on none.
func (p *pool) onTrialUntil(now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trial != nil && now.After(p.trial.until) {
		p.trial = nil // what would have come back is let go
	}
	if p.trial == nil {
		return time.Time{}
	}
	return p.trial.until.UTC()
}
