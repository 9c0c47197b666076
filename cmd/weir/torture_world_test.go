//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirlog/weir/flush/elastic/elastictest"
	"github.com/weirlog/weir/wal/waltest/cutfs"
)

// world is a real weir whose data directory is on a file system that records, its destination, and its client. What
// happens outside of the disk is marked in the recording, so that everything has one order.
type world struct {
	*testing.T
	fs       *cutfs.FS // nil: the directory is on a file system of the machine
	clock    atomic.Int64
	es       *elastictest.Server
	ledger   *ledger
	backing  string // what the file system shows
	dataDir  string
	said     string // the logs of processes that ended
	environ  []string
	launcher []string      // runs weir, under limits for example; nil: nothing does
	patience time.Duration // for all to be settled
	client   *http.Client
	rng      *rand.Rand
	proc     *process
	takesAll atomic.Bool  // the destination takes what it refused before
	resent   atomic.Int64 // documents that came to the destination again
	cutting  atomic.Bool  // the file system is being cut off

	faultless int // where in the recording faults end, in a fault run

	mu     sync.Mutex
	stored []storedAt
	ids    map[string]bool
}

// storedAt is a document and when the destination had it.
type storedAt struct {
	at  int
	doc elastictest.Doc
}

func newWorld(tt *torture, t *testing.T, rng *rand.Rand, opts cutfs.Options) *world {
	mount := t.TempDir()
	backing := memoryDir(t)
	fs, err := cutfs.Mount(backing, mount, opts)
	if errors.Is(err, cutfs.ErrNotPossible) {
		tt.skip(1, "%v", err)
		t.SkipNow()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fs.Close(); err != nil {
			t.Error(err)
		}
	})
	w := newWorldIn(t, filepath.Join(mount, "data"), rng)
	w.fs, w.backing = fs, backing
	return w
}

// newWorldIn makes a world whose data directory is anywhere.
func newWorldIn(t *testing.T, dataDir string, rng *rand.Rand) *world {
	w := &world{T: t, ledger: newLedger(), dataDir: dataDir, backing: filepath.Dir(dataDir), rng: rng, ids: map[string]bool{}, patience: 20 * time.Second}
	w.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: time.Minute}
	t.Cleanup(w.client.CloseIdleConnections)
	w.es = elastictest.Start(t, elastictest.Options{Item: w.receive})
	w.environ = tortureEnviron(w.es.URL(), tortureScriptFile(t))
	return w
}

// mark notes that something happened and returns when.
func (w *world) mark(what string) int {
	if w.fs != nil {
		return w.fs.Mark(what)
	}
	return int(w.clock.Add(1))
}

// now is the time after all that was noted.
func (w *world) now() int {
	if w.fs != nil {
		return w.fs.Len()
	}
	return int(w.clock.Load())
}

// judgeAll compares all that clients know with the destination and the letters, once the process has ended.
func (w *world) judgeAll() verdict {
	letters, err := w.letters()
	if err != nil {
		return verdict{byHand: []string{err.Error()}}
	}
	docs := w.es.Docs()
	if w.fs != nil {
		docs = w.storedBefore(w.now())
	}
	return w.ledger.judge(w.now(), aftermath{docs: docs, letters: letters})
}

// receive is the destination's side of a document. It notes what will be stored.
func (w *world) receive(it elastictest.Item) elastictest.Answer {
	if it.Attempt > 1 {
		w.resent.Add(1)
	}
	if a := refuseRefused(it); a.Status != 0 && !w.takesAll.Load() {
		return a
	}
	if w.fs == nil { // nobody asks for an earlier time
		return elastictest.Answer{}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ids[it.ID] {
		w.ids[it.ID] = true
		doc := elastictest.Doc{Index: string([]byte(it.Index)), ID: string([]byte(it.ID)), Source: bytes.Clone(it.Source), Created: 1, Attempts: 1}
		w.stored = append(w.stored, storedAt{w.mark("stored"), doc})
	}
	return elastictest.Answer{}
}

// storedBefore returns what the destination had at a position of the recording.
func (w *world) storedBefore(at int) []elastictest.Doc {
	w.mu.Lock()
	defer w.mu.Unlock()
	var docs []elastictest.Doc
	for _, s := range w.stored {
		if s.at <= at {
			docs = append(docs, s.doc)
		}
	}
	return docs
}

func (w *world) start() error {
	if err := w.launch(); err != nil {
		return err
	}
	return w.proc.awaitReady()
}

// launch starts a process and does not wait for it.
func (w *world) launch() error {
	p, err := launchWeir(w.T, w.launcher, w.dataDir, w.environ...)
	if err == nil {
		w.proc = p
	}
	return err
}

// reply is the answer to a body.
type reply struct {
	err        error // there was none, or not the whole of it
	status     int
	code       string // of a refusal
	retryAfter string
}

// post sends count events as one body and reports whether they were acknowledged.
func (w *world) post(rng *rand.Rand, count, pad int) bool {
	r := w.send(rng, count, pad)
	return r.err == nil && r.status == http.StatusAccepted
}

// send sends count events as one body, and one that is good: a body without any is refused whole.
func (w *world) send(rng *rand.Rand, count, pad int) reply {
	at := w.mark("sent")
	events := w.ledger.make(rng, count, pad, at)
	return w.sendEvents(append(events, w.ledger.makeKind("plain", at)))
}

// sendEvents sends the events as one body. The last has no line end, so that a body that is refused whole is the event.
func (w *world) sendEvents(events []*tortureEvent) reply {
	body := bytes.TrimSuffix(tortureBody(events), []byte("\n"))
	res, err := w.client.Post(w.proc.ingest+"/ingest", "application/x-ndjson", bytes.NewReader(body))
	if err != nil {
		return reply{err: err}
	}
	defer res.Body.Close()
	r := reply{status: res.StatusCode, retryAfter: res.Header.Get("Retry-After")}
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return reply{err: err}
	}
	if w.cutting.Load() { // without power nobody would have heard it
		return reply{err: errors.New("cut")}
	}
	if r.status == http.StatusAccepted {
		w.ledger.ack(events, w.mark("acked"))
		return r
	}
	var refusal struct{ Error struct{ Code string } }
	r.err = json.Unmarshal(answer, &refusal)
	r.code = refusal.Error.Code
	return r
}

// postAll sends bodies over several connections at a time and returns how many were acknowledged.
func (w *world) postAll(bodies, connections, pad int) int {
	var acked atomic.Int64
	var wg sync.WaitGroup
	for c := range connections {
		rng := rand.New(rand.NewPCG(w.rng.Uint64(), uint64(c)))
		wg.Go(func() {
			for range bodies / connections {
				if w.post(rng, rng.IntN(8), rng.IntN(pad+1)) {
					acked.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return int(acked.Load())
}

// away makes the destination unreachable, or reachable again.
func (w *world) away(yes bool) {
	if !yes {
		w.es.SetRequest(nil)
		return
	}
	w.es.SetRequest(func(elastictest.Request) elastictest.Fault { return elastictest.Fault{Status: 503, Body: "{}"} })
}

// replay sends all letters of refused documents again, to a destination that takes them now.
func (w *world) replay() error {
	w.takesAll.Store(true)
	defer w.takesAll.Store(false)
	w.ledger.asked("refused", func(e *tortureEvent, at int) { e.replayed = at }, w.mark("replay"))
	return w.dlq("replay", "--stage", "index")
}

// drop gives the letters of failed transforms up. Everything has to be settled.
func (w *world) drop() error {
	w.ledger.asked("fail", func(e *tortureEvent, at int) { e.removed = at }, w.mark("drop"))
	if _, stderr, code := command(w.T, w.dataDir, nil, w.environ, "dlq", "drop", "--stage", "transform"); code != exitDone {
		return fmt.Errorf("dlq drop: %s", stderr)
	}
	w.ledger.asked("fail", func(e *tortureEvent, at int) {
		if e.acked != 0 {
			e.gone = at
		}
	}, w.mark("dropped"))
	return nil
}

func (w *world) dlq(args ...string) error {
	_, stderr, code := command(w.T, w.dataDir, nil, w.environ, append([]string{"dlq"}, args...)...)
	if code == exitUsage {
		return fmt.Errorf("dlq %v: %s", args, stderr)
	}
	return nil // letters that fail again, or none at all, are no fault of the log
}
