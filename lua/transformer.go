package lua

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// Transformer runs a script file over records.
type Transformer struct {
	opts    Options
	metrics *scriptMetrics
	// findings of the first version; Run tells them, because a command that replays letters is no place for it.
	findings []string
	current  atomic.Pointer[pool]

	reloading chan struct{} // has room for one reload at a time

	// mu guards what follows, and every exchange of current. It is taken before a pool's.
	mu      sync.Mutex
	since   time.Time // when the version in force came into force
	loaded  time.Time // the last reload that was taken; zero until then
	refused error     // why the newest file is not in force, nil when it is
	rolled  *Rollback // the version that is not taken again, although the file may have been something else since
	report  *Report   // of the last version that was tried; never changed once it is here
	tallies []*tally  // of the last versions, the one in force last
}

var (
	_ flush.Transformer = (*Transformer)(nil)
	_ flush.Blamed      = (*Transformer)(nil)
)

// pool holds the workers of one version of the script that are not in use.
type pool struct {
	prog  *program
	tally *tally

	mu      sync.Mutex // guards what follows
	idle    []*worker
	left    []*state // by workers that were thrown away, for the next ones
	retired bool     // not in force: workers that come back are let go
	failed  uint64   // events, since the version took over
	lately  lately
	trial   *trial // nil when the version can stay
}

func newPool(script *Script, counts *tally) *pool {
	return &pool{prog: script.prog, idle: []*worker{script.w}, tally: counts, lately: lately{seen: counts.events.Load()}}
}

// New compiles and tests the script; it fails when the script does not compile, defines no transform or
// fails its own tests.
func New(opts Options) (*Transformer, error) {
	t := &Transformer{opts: opts.withDefaults(), reloading: make(chan struct{}, 1)}
	t.metrics = t.opts.Metrics.of(t.opts.Name)
	source, err := readScriptFile(t.opts.Script)
	if err != nil {
		return nil, err
	}
	script, err := compileFile(t.opts.Script, source, t.opts)
	if err != nil {
		return nil, err
	}
	if err := script.SelfTest(context.Background()); err != nil {
		return nil, err
	}
	t.findings = findings(script.prog.name, source)
	t.since = t.opts.clock().UTC()
	t.current.Store(newPool(script, t.tallyOfLocked(script.prog.version)))
	return t, nil
}

// Version names the script in force.
func (t *Transformer) Version() string { return t.current.Load().prog.version }

// Transform implements flush.Transformer. Source of a document is the payload itself or memory of its own.
func (t *Transformer) Transform(ctx context.Context, rec *wal.Record) ([]flush.Document, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := t.current.Load()
	return t.transform(p, rec, p.tally.events.Add(1))
}

// transform gives an event to a worker of p. number counts the version's events; 0 stands for one that is not counted.
func (t *Transformer) transform(p *pool, rec *wal.Record, number uint64) ([]flush.Document, error) {
	w, err := p.get(&t.opts)
	if err != nil {
		return nil, t.failed(p, err, number)
	}
	var begin time.Time
	sampled := t.metrics != nil && number > 0 && number%sampleEvery == 0
	if sampled {
		begin = time.Now()
	}
	docs, usable, err := w.run(rec)
	if sampled {
		t.metrics.took(time.Since(begin))
	}
	if err == nil && number > 0 {
		w.commitCounts()
	}
	p.put(w, usable)
	if err != nil {
		return nil, t.failed(p, err, number)
	}
	for i := range docs {
		docs[i].Script = p.prog.version
	}
	return docs, nil
}

// failed counts an event that failed, by its type and against its version.
func (t *Transformer) failed(p *pool, err error, number uint64) error {
	var te *flush.TransformError
	if !errors.As(err, &te) {
		return err
	}
	t.metrics.failed(te.Type)
	if number == 0 {
		return err
	}
	if v := p.fail(te, &t.opts); v != nil {
		t.rollBack(p, v)
	}
	return err
}

// Blame implements flush.Blamed: the event counts as one that failed. A version that is not in force any more is not judged.
func (t *Transformer) Blame(fault *flush.TransformError) {
	if p := t.current.Load(); p.prog.version == fault.Script {
		_ = t.failed(p, fault, 1)
		return
	}
	t.metrics.failed(fault.Type)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.tallies {
		if c.version == fault.Script {
			c.failed.Add(1)
		}
	}
}

// Apart returns a transformer that runs the same script over events which say nothing about it, letters that are
// replayed: they have failed before, are not counted, and bring no version out of force.
func (t *Transformer) Apart() flush.Transformer { return apart{t} }

type apart struct{ t *Transformer }

func (a apart) Version() string { return a.t.Version() }

func (a apart) Transform(ctx context.Context, rec *wal.Record) ([]flush.Document, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return a.t.transform(a.t.current.Load(), rec, 0)
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
	if usable && !p.retired {
		p.idle = append(p.idle, w)
	} else if w.keeps {
		p.left = append(p.left, w.state)
	}
}

// retire lets the workers go, since a version out of force needs no memory for them; what its script keeps stays, in case
// it comes back. With off false it is in force again.
func (p *pool) retire(off bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired = off
	if !off {
		return
	}
	for _, w := range p.idle {
		if w.keeps {
			p.left = append(p.left, w.state)
		}
	}
	p.idle = nil
}
