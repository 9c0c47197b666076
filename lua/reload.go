package lua

import (
	"context"
	"errors"
	"fmt"
)

// asking says who wants the script file to be looked at.
type asking int

const (
	watched asking = iota // the directory changed
	asked                 // an operator
	forced                // an operator, whatever is held against the version
)

// What became of a changed script, in metrics and reports.
const (
	resultLoaded     = "loaded"
	resultRefused    = "refused"
	resultRolledBack = "rolled_back"
)

// Reload takes the script file anew. When the file is not accepted it returns why, and the script in force stays; when
// ctx ends while the file is tested or tried in the shadow, the script in force stays as well. force takes a version also
// when it was rolled back or did badly in the shadow, and lets it stay whatever share of events fails, also when it is in force already; one that does not
// compile or fails its tests is refused all the same. Events in hand are finished by the version that began them.
func (t *Transformer) Reload(ctx context.Context, force bool) error {
	if force {
		return t.reload(ctx, forced)
	}
	return t.reload(ctx, asked)
}

func (t *Transformer) reload(ctx context.Context, by asking) error {
	select {
	case t.reloading <- struct{}{}:
		defer func() { <-t.reloading }()
	case <-ctx.Done():
		return fmt.Errorf("wait for another reload: %w", ctx.Err())
	}
	report, err := t.load(ctx, by)
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return err // nothing was found out about the file
	case err != nil && !t.refuse(err):
		return err // as it was said before
	case err != nil:
		t.metrics.reloaded(resultRefused)
		t.opts.Logger.Error("script refused, the one in force stays", "component", "lua", "script", t.opts.Script, "version", t.Version(), "error", err)
	case report != nil:
		t.metrics.reloaded(resultLoaded)
		t.opts.Logger.Info("script loaded", append([]any{"component", "lua", "script", t.opts.Script, "version", report.Version, "before", report.Before}, report.Shadow.attrs()...)...)
		t.warn(report.Lint)
	}
	return err
}

// warn tells what Lint finds in the version that is in force.
func (t *Transformer) warn(findings []string) {
	for _, f := range findings {
		t.opts.Logger.Warn("in the script: "+f, "component", "lua", "script", t.opts.Script)
	}
}

// refuse notes why the file as it is now is not in force, and reports whether that is new.
func (t *Transformer) refuse(err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	told := t.refused != nil && t.refused.Error() == err.Error()
	t.refusedLocked(err)
	return !told
}

// refusedLocked sets t.refused and the alarm that goes with it.
func (t *Transformer) refusedLocked(err error) {
	_, back := err.(*Rollback)
	t.refused = err
	t.metrics.rolledBack(back)
}

// load brings the file into force, unless its content is in force already; then it returns no report. A version goes
// through all that can be told of it beforehand: it is compiled, tested, linted, which refuses nothing, and tried in the shadow.
func (t *Transformer) load(ctx context.Context, by asking) (*Report, error) {
	source, err := readScriptFile(t.opts.Script)
	if err != nil {
		return nil, err
	}
	version := versionOf(source)
	if done, err := t.known(version, by); done {
		return nil, err
	}
	script, err := compileFile(t.opts.Script, source, t.opts)
	if err == nil {
		err = script.SelfTest(ctx)
	}
	if err != nil {
		return nil, err
	}
	before := t.current.Load().prog
	report := &Report{Version: version, Before: before.version, At: t.opts.clock().UTC(), Result: resultLoaded, Lint: findings(script.prog.name, source)}
	if report.Shadow, err = t.runShadow(ctx, before, script.prog); err != nil {
		return nil, err
	}
	if refusal := report.Shadow.judge(version, &t.opts); refusal != nil && by != forced {
		report.Result, report.Why = resultRefused, refusal.Error()
		t.publish(report)
		return nil, refusal
	}
	t.takeOver(script, by, report)
	return report, nil
}

// known reports whether nothing is to be done about a version: it is in force, or the error says what is held against it:
// it was rolled back, or did badly in the shadow and nobody asks for another try. A rollback is forgotten when another
// version takes over or the file is that of the version in force.
func (t *Transformer) known(version string, by asking) (done bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.current.Load(); version == p.prog.version {
		if by == forced {
			p.stay()
		}
		t.rolled = nil
		t.refusedLocked(nil)
		return true, nil
	}
	if r := t.rolled; r != nil && r.Version == version && by != forced {
		return true, r
	}
	if r, ok := t.refused.(*shadowError); ok && r.version == version && by == watched {
		return true, r
	}
	return false, nil
}

// takeOver puts a script into force between two events.
func (t *Transformer) takeOver(script *Script, by asking, report *Report) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := newPool(script, t.tallyOfLocked(script.prog.version))
	before := t.current.Load()
	if by != forced && t.opts.RollbackErrorRate > 0 {
		next.trial = before.trialAgainst(&report.Shadow, &t.opts)
		next.trial.from = next.lately.seen
	}
	t.since, t.report = t.opts.clock().UTC(), report
	t.loaded = t.since
	t.rolled = nil
	t.refusedLocked(nil)
	t.current.Store(next)
	before.retire(true)
}

// publish makes a report the last one.
func (t *Transformer) publish(r *Report) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report = r
}
