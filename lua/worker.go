package lua

import (
	crand "crypto/rand"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
	"unsafe"

	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/lua/stdlib"
	"github.com/weirlog/weir/wal"
)

// worker is one Lua state with all that belongs to it. One goroutine uses it at a time.
type worker struct {
	prog   *program
	opts   *Options
	L      *glua.LState
	budget budget
	spend  stdlib.Spend // of the budget

	// Globals. live is the environment of the script and holds nothing but what the event at hand has
	// assigned; base, behind it, holds the libraries and what the script defined while it was loaded.
	live, base *glua.LTable
	loading    bool
	dirty      []string            // names assigned by this event
	names      map[string]struct{} // names ever assigned by an event: live never forgets a key
	frozen     map[*glua.LTable]bool
	transform  *glua.LFunction
	nextFn     *glua.LFunction
	ipairsFn   *glua.LFunction
	threads    map[*glua.LState]*glua.LFunction // coroutines of this event that were made by create or wrap
	prints     int
	random     *rand.Rand

	randomBytes io.Reader // for UUIDs

	// The view of the event's JSON; see view.go and number.go.
	objectMT, listMT, exactMT *glua.LTable
	null                      *glua.LUserData
	nodes                     []*node
	used                      int
	last                      *node
	byTable                   map[*glua.LTable]*node
	tables                    []glua.LTable
	entries, fresh            int // table entries made ever, and by this event
	exacts                    map[string]*glua.LUserData
	spelled                   map[unsafe.Pointer][]byte
	scratch                   []byte
	texts                     texts
	hints                     map[string]*hint
	matchers                  []*matcher
	pass                      int // of the encoder; see untouched

	metaMT    *glua.LTable
	metaTable *glua.LTable
	meta      meta
	emitted   []emission // documents that emit added
	lines     int        // that the event at hand has given to log
	counts    counts
	redaction redaction

	stateMT  *glua.LTable
	state    *state
	keeps    bool         // the script declares a state
	declared []stateEntry // what it begins with

	encoded []byte           // the document at hand
	arena   []byte           // documents that were handed out, and room for more
	docs    []flush.Document // room for the documents of further events
	pinned  int              // bytes of the documents that were handed out of the same room
}

const (
	// lifeFactor is how many times its memory limit a state may allocate before it is made anew. It
	// bounds what a script can pile up over many events, and what gopher-lua's tables never give back.
	lifeFactor = 4
	// maxEntries is how many table entries events may make before the state is made anew: how long one
	// instruction can take depends on how large a table can be.
	maxEntries = 200_000
	// maxNames is how many different globals events may assign before the state is made anew.
	maxNames = 256
	// loadFactor is how much more than an event the loading of the script, and each of its tests, may use.
	loadFactor = 10
)

// newWorker makes a state and runs the script's main chunk in it.
func newWorker(prog *program, opts *Options) (*worker, error) {
	w := &worker{
		prog: prog, opts: opts,
		names:   map[string]struct{}{},
		byTable: map[*glua.LTable]*node{},
		exacts:  map[string]*glua.LUserData{},
		spelled: map[unsafe.Pointer][]byte{},
		threads: map[*glua.LState]*glua.LFunction{},
		random:  rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),

		randomBytes: crand.Reader,
	}
	w.budget.now = opts.now
	w.spend = w.budget.work
	w.L = glua.NewState(glua.Options{
		CallStackSize: callStack, RegistrySize: registrySize, RegistryMaxSize: registryMax,
		RegistryGrowStep: registryGrowStep, SkipOpenLibs: true,
	})
	w.openLibraries()
	w.L.SetContext(&w.budget)
	w.loosen()
	w.loading = true
	main := w.L.NewFunctionFromProto(prog.proto)
	main.Env = w.live
	err := w.call(main, 0, w.hooks()...)
	w.loading = false
	if err != nil {
		return nil, err
	}
	fn, ok := w.base.RawGetString("transform").(*glua.LFunction)
	if ok {
		w.transform = fn
	}
	if err := w.declareState(); err != nil {
		return nil, err
	}
	w.clear()
	w.budget.total, w.budget.memory, w.entries = 0, 0, 0
	w.budget.loaded = w.budget.largest
	return w, nil
}

// loosen gives the budget of loading and testing.
func (w *worker) loosen() {
	w.budget.reset(max(loadFactor*w.opts.Timeout, time.Second), loadFactor*w.opts.MaxMemory)
}

// call runs fn protected and leaves its results on the stack; the caller takes them off.
func (w *worker) call(fn *glua.LFunction, results int, args ...glua.LValue) error {
	w.L.Push(fn)
	for _, a := range args {
		w.L.Push(a)
	}
	err := w.L.PCall(len(args), results, nil)
	w.budget.end()
	if w.budget.tripped != "" {
		return w.failed(w.budget.tripped, w.overrunText(err))
	}
	if err != nil {
		return w.failed(typeError, w.prog.named(errorText(err)))
	}
	return nil
}

// overrunText is where the overrun was noticed last, which is where the script was.
func (w *worker) overrunText(err error) string {
	if api, ok := err.(*glua.ApiError); ok {
		if text := errorText(api); len(text) > len(w.budget.message) {
			return text
		}
	}
	return w.resultText(w.budget.message)
}

// resultText says that message is about what transform returned, which has no line of its own.
func (w *worker) resultText(message string) string {
	return fmt.Sprintf("%s:%d: result of transform: %s", w.prog.name, w.prog.line, message)
}

func (w *worker) failed(kind, message string) *flush.TransformError {
	return &flush.TransformError{Type: kind, Message: cut(message), Script: w.prog.version}
}

// errorText is the text of an error without the stack.
func errorText(err error) string {
	api, ok := err.(*glua.ApiError)
	if !ok {
		return err.Error()
	}
	switch o := api.Object.(type) {
	case glua.LString:
		return string(o)
	case glua.LNumber:
		return o.String()
	case *glua.LTable:
		if m, ok := o.RawGetString("message").(glua.LString); ok {
			return string(m)
		}
	}
	return fmt.Sprintf("the error is a %s value", api.Object.Type())
}

// run makes documents of one event. usable is false when the Lua state must not be used again; what the script
// keeps in state is still good then.
func (w *worker) run(rec *wal.Record) (docs []flush.Document, usable bool, err error) {
	w.budget.reset(w.opts.Timeout, w.opts.MaxMemory)
	w.meta.begin(rec)
	w.fresh = 0
	w.dropCounts()
	event := w.newObject(rec.Payload)
	w.L.Push(w.transform)
	w.L.Push(event.table)
	w.L.Push(w.metaTable)
	err = w.L.PCall(2, glua.MultRet, nil)
	if err == nil && w.budget.tripped == "" {
		docs, err = w.results()
	}
	w.budget.end()
	usable = w.budget.tripped == "" && !isPanic(err)
	if err != nil || !usable {
		docs, err = nil, w.explain(err)
		w.state.revert()
	}
	w.state.keep()
	w.meta.rec = nil
	if usable {
		w.L.SetTop(0)
		w.clear()
	}
	return docs, usable && !w.worn(), err
}

// explain makes the TransformError of an event that failed.
func (w *worker) explain(err error) error {
	if w.budget.tripped != "" {
		return w.failed(w.budget.tripped, w.overrunText(err))
	}
	if f, ok := err.(*faultError); ok {
		return w.failed(typeResult, w.resultText(f.Error()))
	}
	return w.failed(typeError, w.prog.named(errorText(err)))
}

// isPanic reports a Go panic below the script; the state is not to be trusted after it.
func isPanic(err error) bool {
	api, ok := err.(*glua.ApiError)
	return ok && api.Type == glua.ApiErrorPanic
}

// clear ends an event: its globals, coroutines and JSON are gone.
func (w *worker) clear() {
	for _, name := range w.dirty {
		w.live.RawSetString(name, glua.LNil)
	}
	w.dirty = w.dirty[:0]
	w.prints, w.lines = 0, 0
	clear(w.emitted)
	if w.emitted = w.emitted[:0]; cap(w.emitted) > keptEntries {
		w.emitted = nil
	}
	w.dropNodes()
	w.exacts, w.spelled, w.threads = emptied(w.exacts), emptied(w.spelled), emptied(w.threads)
	if cap(w.encoded) > 1<<20 {
		w.encoded = nil
	}
	if cap(w.scratch) > 1<<20 {
		w.scratch = nil
	}
}

// keptEntries is how large a map is that stays for the next event: one that was large once would take its room, and the
// time to empty it, for good.
const keptEntries = 1024

func emptied[K comparable, V any](m map[K]V) map[K]V {
	if len(m) > keptEntries {
		return map[K]V{}
	}
	if len(m) > 0 {
		clear(m)
	}
	return m
}

// worn reports that the state should be made anew.
func (w *worker) worn() bool {
	return w.budget.total > lifeFactor*w.opts.MaxMemory || w.entries > maxEntries || len(w.names) > maxNames || w.budget.hampered()
}
