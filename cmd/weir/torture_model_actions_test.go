//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
	"github.com/weirlog/weir/wal/waltest"
)

// modelMachine is one sequence: the real parts, and the reference that is told the same. It lives in a bubble of
// testing/synctest: time stands still but for pass, and after each step everything is at rest, so that what happens
// depends on the drawn choices only.
type modelMachine struct {
	root   string // of the data directories, one for each life that did not begin after an orderly stop
	dirs   int
	sizes  modelSizes
	ref    *reference
	sink   *modelSink
	life   *modelLife // nil only between lives
	begun  func()     // ends a start that is under way; nil when none is
	events int
	epochs map[wal.Epoch]bool
}

func newModelMachine(t *rapid.T, root string) *modelMachine {
	ref := &reference{first: 1}
	m := &modelMachine{root: root, ref: ref, sink: &modelSink{stored: map[string]string{}}, epochs: map[wal.Epoch]bool{}}
	m.sizes = modelSizes{segment: rapid.SampledFrom([]int64{64 << 10, 2000, 500}).Draw(t, "segment bytes")}
	m.sizes.frame = rapid.SampledFrom([]int{1 << 20, 400}).Draw(t, "frame bytes")
	m.sizes.max = rapid.SampledFrom([]int64{0, 8}).Draw(t, "max segments") * m.sizes.segment
	hangs := time.AfterFunc(time.Hour, func() { panic("it hangs") }) // for ever, when time runs as fast as it can
	t.Cleanup(func() {
		hangs.Stop()
		if m.begun != nil { // what is drawn may end the sequence at any time
			m.begun()
		}
		if m.life != nil {
			m.life.abandon()
		}
		_ = os.RemoveAll(root) // memoryDir reports what is left
	})
	m.start(t, m.nextDir())
	return m
}

func (m *modelMachine) nextDir() string {
	m.dirs++
	return filepath.Join(m.root, fmt.Sprint(m.dirs))
}

// pass lets time pass, longer than any pause that a part makes.
func (m *modelMachine) pass() {
	time.Sleep(300 * time.Millisecond)
	synctest.Wait()
}

// actions are what may happen.
func (m *modelMachine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"":                m.check,
		"append":          m.appendOne,
		"append together": m.appendTogether,
		"read":            m.read,
		"read on":         m.readOn,
		"answer":          m.answer,
		"answer again":    m.answer, // more often than the others
		"time":            func(*rapid.T) { m.pass() },
		"fault":           m.fault,
		"trouble":         m.trouble,
		"drop a letter":   m.dropLetter,
		"reclaim":         m.reclaim,
		"stop":            m.stop,
		"crash":           m.crash,
	}
}

// check compares after each step.
func (m *modelMachine) check(t *rapid.T) {
	synctest.Wait()
	m.sink.tell(m.ref)
	if got := m.life.log.DurableOffset(); got != m.ref.end() {
		m.ref.wrong(&m.ref.lost, "the log says that offset %d is durable, and %d is", got, m.ref.end())
	}
	m.ref.stands(m.life.checkpointed(), m.life.log.FirstOffset())
	m.require(t)
}

// require fails when something was done against the reference.
func (m *modelMachine) require(t *rapid.T) {
	if !m.ref.ok() {
		t.Fatalf("%s", m.ref.verdict)
	}
}

// draw makes the events of an append.
func (m *modelMachine) draw(t *rapid.T) []*modelEvent {
	events := make([]*modelEvent, rapid.IntRange(1, 4).Draw(t, "events"))
	for i := range events {
		m.events++
		e := &modelEvent{n: m.events, kind: rapid.SampledFrom([]string{"plain", "split", "drop", "fail", "bad"}).Draw(t, "kind")}
		pad := rapid.SampledFrom([]int{0, 150, 900}).Draw(t, "pad")
		e.raw = fmt.Appendf(nil, `{"n":%d,"kind":%q,"pad":%q}`, e.n, e.kind, strings.Repeat(string(rune('a'+e.n%26)), pad))
		events[i] = e
	}
	return events
}

// modelAsk is an append under way.
type modelAsk struct {
	modelAppend
	first wal.Offset
	err   error
	done  bool
}

// ask appends, and returns when the append has ended or waits.
func (m *modelMachine) ask(events []*modelEvent) *modelAsk {
	a := &modelAsk{modelAppend: modelAppend{epoch: m.life.log.Epoch(), events: events}}
	batch := make([]wal.Event, len(events))
	for i, e := range events {
		batch[i].Payload = e.raw
		if e.kind == "bad" {
			batch[i].Flags, batch[i].Reason = wal.FlagRejected, "malformed_json: asked to be"
		}
	}
	log := m.life.log
	go func() {
		a.first, a.err = log.Append(context.Background(), wal.Origin{Stream: "default", ReceivedAt: time.Now()}, batch)
		a.done = true
	}()
	synctest.Wait()
	return a
}

// hear tells the reference what became of appends.
func (m *modelMachine) hear(t *rapid.T, asks ...*modelAsk) {
	synctest.Wait()
	for _, a := range asks {
		switch {
		case a.done && a.err == nil:
			m.ref.acknowledged(a.modelAppend, a.first)
		case !a.done, errors.Is(a.err, wal.ErrCommit):
			m.ref.unanswered(a.modelAppend)
		case errors.Is(a.err, wal.ErrFailed), errors.Is(a.err, wal.ErrFull) && m.sizes.max > 0:
		default:
			t.Fatalf("append: %v", a.err)
		}
	}
	m.sink.tell(m.ref)
}

func (m *modelMachine) appendOne(t *rapid.T) { m.hear(t, m.ask(m.draw(t))) }

// appendTogether makes appends that wait while another one is written, so that they share the next group.
func (m *modelMachine) appendTogether(t *rapid.T) {
	m.life.disk.holdAt(modelFault{op: waltest.OpWrite})
	var asks []*modelAsk
	for range rapid.IntRange(2, 4).Draw(t, "appends") {
		asks = append(asks, m.ask(m.draw(t)))
	}
	m.life.disk.letGo(nil)
	m.hear(t, asks...)
}

// read compares a new reader from some offset on.
func (m *modelMachine) read(t *rapid.T) {
	from := wal.Offset(rapid.Uint64Range(uint64(m.ref.first), uint64(m.ref.end()+1)).Draw(t, "from"))
	recs, err := readAll(m.life.log, from)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	m.ref.read(from, recs)
	if want := m.ref.end() + 1 - from; wal.Offset(len(recs)) != want {
		m.ref.wrong(&m.ref.lost, "a reader from %d gave %d records of %d", from, len(recs), want)
	}
}

// readOn compares a reader that has been open all the time. What was reclaimed before it came there it passes over.
func (m *modelMachine) readOn(t *rapid.T) {
	was := m.life.tail.Position()
	recs, err := readOn(m.life.tail, m.ref.end())
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	from := m.ref.end() + 1 - wal.Offset(len(recs))
	m.ref.read(from, recs)
	if from > max(was, m.ref.first) {
		m.ref.wrong(&m.ref.lost, "a reader at %d gave %d records up to %d, and the log begins with %d", was, len(recs), m.ref.end(), m.ref.first)
	}
}

// answer answers one request that waits.
func (m *modelMachine) answer(t *rapid.T) {
	requests := m.sink.requests()
	if len(requests) == 0 {
		t.Skip("no request waits")
	}
	r := requests[rapid.IntRange(0, len(requests)-1).Draw(t, "request")]
	none := !slices.ContainsFunc(r.docs, func(d flush.Document) bool { return m.sink.has(d.ID) })
	switch how := rapid.SampledFrom([]string{"stored", "each", "fails", "cut", "too large"}).Draw(t, "answer"); {
	case how == "stored":
		m.sink.respond(r, modelAnswer{outcomes: m.sink.store(r.docs)})
	case how == "each":
		m.sink.respond(r, modelAnswer{outcomes: m.verdicts(t, r.docs)})
	case how == "cut":
		m.sink.store(r.docs[:rapid.IntRange(1, len(r.docs)).Draw(t, "stored")])
		m.sink.respond(r, modelAnswer{err: &flush.RequestError{Cause: "timeout", Err: errModelAnswerLost}})
	case how == "too large" && none: // what was taken once is not too large
		m.sink.respond(r, modelAnswer{err: &flush.RequestError{Cause: "status_413", Status: 413, Verdict: flush.Split, Err: errModelAnswerLost}})
	default:
		m.sink.respond(r, modelAnswer{err: &flush.RequestError{Cause: "refused", Err: errModelAnswerLost}})
	}
}

// verdicts answers for each document by itself. One that is there is there, whatever else might be wrong with it.
func (m *modelMachine) verdicts(t *rapid.T, docs []flush.Document) []flush.Outcome {
	outcomes := make([]flush.Outcome, len(docs))
	for i := range docs {
		switch v := rapid.SampledFrom([]flush.Verdict{flush.Delivered, flush.Permanent, flush.Retry}).Draw(t, "verdict"); {
		case v == flush.Retry:
			outcomes[i] = flush.Outcome{Verdict: v, Status: 429}
		case v == flush.Permanent && !m.sink.has(docs[i].ID):
			outcomes[i] = flush.Outcome{Verdict: v, Status: 400, Type: "document_parsing_exception"}
		default:
			outcomes[i] = m.sink.store(docs[i : i+1])[0]
		}
	}
	return outcomes
}

var modelOps = []waltest.Op{waltest.OpWrite, waltest.OpWritten, waltest.OpSync, waltest.OpSynced, waltest.OpSyncDir, waltest.OpSyncedDir, waltest.OpUnlink, waltest.OpOpen}

func drawFault(t *rapid.T, label string) modelFault {
	var names []string // which rapid prints
	for _, op := range modelOps {
		names = append(names, op.String())
	}
	op := modelOps[slices.Index(names, rapid.SampledFrom(names).Draw(t, label))]
	return modelFault{op: op, skip: rapid.IntRange(0, 2).Draw(t, "others before it")}
}

// fault makes an operation of the log's disk fail, once.
func (m *modelMachine) fault(t *rapid.T) { m.life.disk.arm(drawFault(t, "fails")) }

// trouble makes checkpoints, or letters, fail from now on, or no more.
func (m *modelMachine) trouble(t *rapid.T) {
	how := rapid.SampledFrom([]modelTrouble{noTrouble, refuses, storesAndErr}).Draw(t, "how")
	if rapid.Bool().Draw(t, "letters") {
		m.life.keeping.Store(how)
	} else {
		m.life.storing.Store(how)
	}
}

// dropLetter is an operator who gives a letter up.
func (m *modelMachine) dropLetter(t *rapid.T) {
	letters, err := m.life.list()
	if err != nil {
		t.Fatalf("letters: %v", err)
	}
	if len(letters) == 0 {
		t.Skip("there is none")
	}
	l := letters[rapid.IntRange(0, len(letters)-1).Draw(t, "letter")]
	if n, err := m.life.letters.Drop(context.Background(), []flush.Key{l.Key}, false); err != nil || n != 1 {
		t.Fatalf("drop %s: %d, %v", l.Key, n, err)
	}
	m.ref.becomes(l.Key, removed)
}

// reclaim asks for less than the flusher does. It may fail; check sees what is gone.
func (m *modelMachine) reclaim(t *rapid.T) {
	upTo := rapid.Uint64Range(0, uint64(m.ref.checkpoint)).Draw(t, "up to")
	m.life.disk.letGo(nil)
	_, _ = m.life.log.Reclaim(wal.Offset(upTo))
}
