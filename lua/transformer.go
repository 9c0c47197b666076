package lua

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// Transformer runs a script file over records.
type Transformer struct {
	opts    Options
	current atomic.Pointer[pool]
	events  atomic.Uint64

	reloading sync.Mutex // one reload at a time

	mu      sync.Mutex // guards the status below
	loaded  time.Time
	refused error  // why the newest file is not in force, nil when it is
	seen    string // version of the newest file that was looked at
}

var _ flush.Transformer = (*Transformer)(nil)

// pool holds the workers of one version of the script that are not in use.
type pool struct {
	prog *program
	mu   sync.Mutex
	idle []*worker
	left []*state // by workers that were thrown away, for the next ones
}

// New compiles and tests the script; it fails when the script does not compile, defines no transform or
// fails its own tests.
func New(opts Options) (*Transformer, error) {
	t := &Transformer{opts: opts.withDefaults()}
	if err := t.load(); err != nil {
		return nil, err
	}
	return t, nil
}

// load brings the file into force.
func (t *Transformer) load() error {
	source, err := os.ReadFile(t.opts.Script)
	if err != nil {
		return fmt.Errorf("read script: %w", err)
	}
	version := versionOf(source)
	if !t.news(version) {
		return nil
	}
	script, err := Compile(t.opts.Script, source, t.opts)
	if err == nil {
		err = script.SelfTest()
	}
	if err != nil {
		return err
	}
	t.current.Store(&pool{prog: script.prog, idle: []*worker{script.w}})
	return nil
}

// news reports whether a version differs from the one looked at last, and notes it.
func (t *Transformer) news(version string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == version && t.refused == nil {
		return false
	}
	t.seen = version
	return true
}

// Reload takes the script file anew. When the file is not accepted it returns why, and the script in
// force stays. Events in hand are finished by the version that began them.
func (t *Transformer) Reload() error {
	t.reloading.Lock()
	defer t.reloading.Unlock()
	before := t.Version()
	err := t.load()
	t.mu.Lock()
	repeated := err != nil && t.refused != nil && err.Error() == t.refused.Error()
	t.refused = err
	if err == nil && t.Version() != before {
		t.loaded = time.Now()
	}
	t.mu.Unlock()
	switch {
	case err != nil && !repeated:
		t.opts.Metrics.reloaded("refused")
		t.opts.Logger.Error("script refused, the one in force stays", "component", "lua", "script", t.opts.Script,
			"version", before, "error", err)
	case err == nil && t.Version() != before:
		t.opts.Metrics.reloaded("loaded")
		t.opts.Logger.Info("script loaded", "component", "lua", "script", t.opts.Script, "version", t.Version(), "before", before)
	}
	return err
}

// Version names the script in force.
func (t *Transformer) Version() string {
	if p := t.current.Load(); p != nil {
		return p.prog.version
	}
	return ""
}

// Status is what the status page shows of the script.
type Status struct {
	Script   string    `json:"script"`
	Version  string    `json:"version"`
	LoadedAt time.Time `json:"loaded_at,omitzero"` // zero until the first reload
	Refused  string    `json:"refused,omitempty"`  // why the file as it is now is not in force
}

// Status reports which script is in force.
func (t *Transformer) Status() any {
	s := Status{Script: t.opts.Script, Version: t.Version()}
	t.mu.Lock()
	defer t.mu.Unlock()
	s.LoadedAt = t.loaded
	if t.refused != nil {
		s.Refused = t.refused.Error()
	}
	return s
}

// Transform implements flush.Transformer. Source of a document is the payload itself or memory of its own.
func (t *Transformer) Transform(ctx context.Context, rec *wal.Record) ([]flush.Document, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := t.current.Load()
	w, err := p.get(&t.opts)
	if err != nil {
		return nil, t.count(err)
	}
	var begin time.Time
	sampled := t.opts.Metrics != nil && t.events.Add(1)%sampleEvery == 0
	if sampled {
		begin = time.Now()
	}
	docs, usable, err := w.run(rec)
	if sampled {
		t.opts.Metrics.took(time.Since(begin))
	}
	if err == nil {
		w.commitCounts()
	}
	p.put(w, usable)
	for i := range docs {
		docs[i].Script = p.prog.version
	}
	return docs, t.count(err)
}

// count counts a failure by its type.
func (t *Transformer) count(err error) error {
	if err == nil {
		return nil
	}
	var te *flush.TransformError
	if errors.As(err, &te) {
		t.opts.Metrics.failed(te.Type)
	}
	return err
}

// get returns an idle worker, or makes one.
func (p *pool) get(opts *Options) (*worker, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return w, nil
	}
	var kept *state
	if n := len(p.left); n > 0 {
		kept, p.left = p.left[n-1], p.left[:n-1]
	}
	p.mu.Unlock()
	w, err := newWorker(p.prog, opts)
	if err != nil {
		return nil, err
	}
	if kept != nil {
		w.state = kept
	}
	return w, nil
}

// put gives a worker back; of one that must not be used again only what its script keeps.
func (p *pool) put(w *worker, usable bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if usable {
		p.idle = append(p.idle, w)
	} else if w.keeps {
		p.left = append(p.left, w.state)
	}
}
