package elastic_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/checkpoint"
	"github.com/weirlog/weir/flush/deadletter"
	"github.com/weirlog/weir/flush/elastic"
	"github.com/weirlog/weir/flush/elastic/elastictest"
	"github.com/weirlog/weir/wal"
)

// The load and the limits of a cell. Small batches, so that several requests are always on their way.
const (
	matrixEvery    = 250 * time.Millisecond // an event
	matrixBatch    = 4
	matrixLinger   = 1500 * time.Millisecond // three or four events of a stream
	matrixInFlight = 4
	matrixRetryMin = 100 * time.Millisecond
	matrixRetryMax = 30 * time.Second
	matrixTimeout  = 10 * time.Second // of a request

	matrixSmooth   = 6 * time.Second // for what was on its way, where a fault holds nothing up
	matrixBefore   = 2 * time.Second // of undisturbed load
	matrixAfter    = 5 * time.Second // likewise
	matrixPatience = 2 * time.Minute // a retry may come 45s late, last 10s, and fail once more on something else
)

// cell is one fault in one mode: the real log, flusher, letters, checkpoint and sink, and the fake server at the other end of
// connections in memory. All of it lives in one bubble.
type cell struct {
	t       *testing.T
	trouble *trouble
	network *network
	server  *elastictest.Server
	sink    *elastic.Sink
	log     *wal.Log
	db      *checkpoint.DB
	letters *deadletter.Store
	flusher *flush.Flusher
	ran     map[string]*matrixRun

	events []matrixEvent // appended so far; events[i] has offset i+1
	// Known once the fault is over: when, and the last event that came before.
	ended     time.Time
	during    wal.Offset
	recovered bool                     // all up to it is settled
	caughtUp  map[string]time.Duration // likewise each stream, so long after
	told      bool                     // the status said that something fails
	passed    map[string]wal.Offset    // by the stored checkpoint of each stream, and judged
	result    cellResult
}

// cellResult is what the table shows of a cell.
type cellResult struct {
	wrong    []string
	recovery time.Duration // from the end of the fault until all that came before is settled
	requests int64
	hits     int
}

type matrixEvent struct {
	stream, id string
	payload    []byte
	foreign    bool // its id was taken before by another writer
}

var matrixStreams = []string{"default", "audit"}

func matrixIndex(stream string) string { return "logs-" + stream }

// runCell runs a cell in the bubble that it is called in.
func runCell(t *testing.T, dir, caFile string, f *fault, m mode) cellResult {
	c := &cell{t: t, trouble: newTrouble(f, m), ran: map[string]*matrixRun{}, passed: map[string]wal.Offset{}, caughtUp: map[string]time.Duration{}}
	c.open(dir, caFile)
	c.play()
	c.close()
	c.judge()
	c.result.requests = c.network.requests.Load()
	c.result.hits = c.trouble.struck()
	return c.result
}

// wrongf notes something that must not be.
func (c *cell) wrongf(format string, args ...any) {
	const most = 5
	if len(c.result.wrong) < most {
		c.result.wrong = append(c.result.wrong, fmt.Sprintf(format, args...))
	}
}

func must[T any](c *cell) func(v T, err error) T {
	return func(v T, err error) T {
		c.t.Helper()
		if err != nil {
			c.t.Fatal(err)
		}
		return v
	}
}

// open puts the parts together as serve does.
func (c *cell) open(dir, caFile string) {
	c.network = newNetwork(c.trouble)
	scheme := "http"
	if c.trouble.fault.tls != "" {
		scheme, c.network.tls = "https", theMatrixCA()
	} else {
		caFile = ""
	}
	c.server = elastictest.NewServer(elastictest.Options{Item: c.trouble.onItem, Request: c.trouble.onRequest})
	c.run("server", func(context.Context) error { return c.server.Serve(c.network) })
	c.sink = must[*elastic.Sink](c)(elastic.New(elastic.Options{
		Addresses: matrixAddresses(scheme, c.trouble.fault.nodes), CAFile: caFile, RequestTimeout: matrixTimeout, Dial: c.network.dial,
	}))
	c.db = must[*checkpoint.DB](c)(checkpoint.Open(filepath.Join(dir, "weir.db"), checkpoint.Options{}))
	c.letters = must[*deadletter.Store](c)(deadletter.Open(filepath.Join(dir, "dead"), c.db, deadletter.Options{SegmentBytes: 64 << 10}))
	c.run("letters", c.letters.Run)
	c.log = must[*wal.Log](c)(wal.Open(filepath.Join(dir, "wal"), wal.Options{SegmentBytes: 64 << 10, RepairDir: filepath.Join(dir, "repair")}))
	c.run("log", c.log.Run)
	c.flusher = c.newFlusher()
	c.run("flusher", c.flusher.Run)
}

// newFlusher is the one place that knows how a flusher is made.
func (c *cell) newFlusher() *flush.Flusher {
	streams := map[string]flush.Stream{}
	for _, name := range matrixStreams {
		route := flush.Route{Index: matrixIndex(name)}
		if c.trouble.fault.foreign {
			route.IDField = "id"
		}
		streams[name] = flush.Stream{Sink: c.sink, Route: route}
	}
	return flush.New(flush.Options{
		Open: func(from wal.Offset) flush.Source { return c.log.NewReader(from) }, Checkpoint: c.db, DeadLetters: c.letters, Streams: streams,
		Epoch: c.log.Epoch(), Durable: c.log.DurableOffset,
		BatchEvents: matrixBatch, MaxInFlight: matrixInFlight, Linger: matrixLinger,
		RetryMin: matrixRetryMin, RetryMax: matrixRetryMax, CheckpointEvery: time.Second,
		Metrics: flush.NewMetrics(prometheus.NewRegistry()),
	})
}

func matrixAddresses(scheme string, nodes int) (addresses []string) {
	for i := range max(nodes, 1) {
		addresses = append(addresses, fmt.Sprintf("%s://127.0.0.%d:9200", scheme, i+1))
	}
	return addresses
}

// matrixRun is a part that runs.
type matrixRun struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

func (c *cell) run(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &matrixRun{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = run(ctx)
	}()
	c.ran[name] = r
}

// play brings load, trouble and calm, and sees delivery come back.
func (c *cell) play() {
	c.load(matrixBefore)
	c.trouble.begin()
	c.shake()
	for m, n := c.trouble.mode, 0; n < m.phases(); n++ {
		c.load(m.bad)
		c.shake() // connections that were made while it was bad end with that
		c.load(m.period - m.bad)
		if m.period > m.bad {
			c.shake()
		}
	}
	c.load(matrixAfter)
	patience := cmp.Or(c.trouble.fault.patience, matrixPatience)
	for all := wal.Offset(len(c.events)); c.settled() < all; time.Sleep(matrixEvery) {
		c.watch()
		if !c.ended.IsZero() && time.Since(c.ended) > patience || time.Since(bubbleStart) > 2*patience {
			c.wrongf("endless: %d of %d events are settled %s after the fault; failing: %v", c.settled(), all, patience, c.failing())
			return
		}
	}
	c.watch()
	c.proveNormal()
}

// shake breaks the connections, when the fault needs new ones.
func (c *cell) shake() {
	if c.trouble.fault.breaks() {
		c.network.resetAll()
	}
}

// watch notes when the fault ended and when all that came before was settled, and judges the checkpoint.
func (c *cell) watch() {
	c.judgeCheckpoint()
	if c.ended.IsZero() && c.trouble.over() {
		c.ended, c.during = time.Now(), wal.Offset(len(c.events))
	}
	st := c.flusher.Status()
	c.told = c.told || len(st.Failing) > 0
	if c.ended.IsZero() {
		return
	}
	if !c.recovered && st.Settled >= c.during {
		c.recovered, c.result.recovery = true, time.Since(c.ended)
	}
	for _, s := range st.Streams {
		if s.Settled >= c.during && c.caughtUp[s.Name] == 0 {
			c.caughtUp[s.Name] = time.Since(c.ended) + 1 // not 0
		}
	}
}

// judgeCheckpoint sees that a kill at this moment would lose nothing: what the stored checkpoint passed is stored at the server, or
// durably a letter.
func (c *cell) judgeCheckpoint() {
	for _, stream := range matrixStreams {
		at, err := c.db.Load(stream)
		if err != nil {
			c.wrongf("checkpoint of %s: %v", stream, err)
		}
		for ; c.passed[stream] < at; c.passed[stream]++ {
			offset := c.passed[stream] + 1
			e := &c.events[offset-1]
			if e.stream != stream {
				continue
			}
			_, stored := c.server.Doc(matrixIndex(stream), e.id)
			known, err := c.letters.Known(c.log.Epoch(), offset)
			if err != nil || !stored && len(known) == 0 {
				c.wrongf("checkpoint passed %s, which is neither stored nor a letter (%v)", e.id, err)
			}
		}
	}
}

// proveNormal sees that new events go their way at once, and that nothing is sent when there are none.
func (c *cell) proveNormal() {
	for range 2 { // the second time at least ten seconds after the fault, when nothing of it may be told any more
		c.load(time.Second)
		time.Sleep(5 * time.Second)
		if all := wal.Offset(len(c.events)); c.settled() < all {
			c.wrongf("not back to normal: %d new events are not settled after 5s; failing: %v", all-c.settled(), c.failing())
		}
	}
	before := c.network.requests.Load()
	time.Sleep(5 * time.Minute)
	if more := c.network.requests.Load() - before; more > 0 {
		c.wrongf("endless retry: %d requests after all was settled", more)
	}
}

// load appends events for a time.
func (c *cell) load(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(matrixEvery) {
		c.append()
		c.watch()
		if c.trouble.fault.turns && c.trouble.isBad() {
			c.network.resetAll()
		}
	}
}

func (c *cell) append() {
	n := len(c.events) + 1
	e := matrixEvent{stream: matrixStreams[n%len(matrixStreams)], payload: matrixPayload(n)}
	if c.trouble.fault.foreign {
		e.id = "client-" + strconv.Itoa(n)
		if e.foreign = n%7 == 0 && c.trouble.strikes(""); e.foreign {
			c.server.Restore([]elastictest.Doc{{Index: matrixIndex(e.stream), ID: e.id, Source: []byte(`{"mine":false}`), Created: 1}})
		}
	}
	first, err := c.log.Append(context.Background(), wal.Origin{Stream: e.stream, ReceivedAt: time.Now()}, []wal.Event{{Payload: e.payload}})
	if err != nil || first != wal.Offset(n) {
		c.t.Fatalf("append gave offset %d, %v; want %d", first, err, n)
	}
	if e.id == "" {
		e.id = flush.Key{Epoch: c.log.Epoch(), Offset: first}.ID()
	}
	c.events = append(c.events, e)
}

// matrixPayload is an event whose bytes would not survive decoding, of 100 to 900 bytes.
func matrixPayload(n int) []byte {
	size := rand.New(rand.NewPCG(7, uint64(n))).IntN(800)
	return fmt.Appendf(nil, `{"n":%d,"id":"client-%d","one":1.0,"big":12345678901234567890,"same":1,"same":2,"text":"<\u0041\/ü>","none":{},"pad":%q}`,
		n, n, strings.Repeat("x", size))
}

// settled is the offset up to which everything is.
func (c *cell) settled() wal.Offset { return c.flusher.Status().Settled }

func (c *cell) failing() map[string]flush.Failure { return c.flusher.Status().Failing }

// close ends the parts in the order in which data flows. The bubble panics when a goroutine is left.
func (c *cell) close() {
	st := c.flusher.Status()
	if len(st.Failing) > 0 || st.Lag > 0 {
		c.wrongf("at the end %d events lag, failing: %v", st.Lag, st.Failing)
	}
	if done := st.Delivered + st.Duplicates + st.FailureStore + st.DeadLettered; done != uint64(len(c.events)) {
		c.wrongf("%d events, and %d delivered + %d duplicates + %d in failure stores + %d dead letters", len(c.events), st.Delivered, st.Duplicates, st.FailureStore, st.DeadLettered)
	}
	c.stop("log", true)
	c.stop("flusher", len(c.result.wrong) > 0)
	for _, stream := range matrixStreams {
		if at, err := c.db.Load(stream); err != nil || at != c.log.DurableOffset() {
			c.wrongf("checkpoint of %s is %d (%v), the log ends at %d", stream, at, err, c.log.DurableOffset())
		}
	}
	c.judgeLetters()
	c.stop("letters", true)
	for _, err := range []error{c.sink.Close(), c.db.Close()} {
		if err != nil {
			c.wrongf("close: %v", err)
		}
	}
	c.server.Close()
	c.stop("server", false)
	time.Sleep(20 * time.Second) // the server's workers end when they look for it, every 10s
}

// stop ends a part: told to, or, when it ends by itself, waited for.
func (c *cell) stop(name string, cancel bool) {
	r := c.ran[name]
	if cancel {
		r.cancel()
	}
	<-r.done
	r.cancel()
	if r.err != nil && !errors.Is(r.err, context.Canceled) {
		c.wrongf("%s: %v", name, r.err)
	}
}

// judgeLetters compares the dead letters with what the fault says.
func (c *cell) judgeLetters() {
	found := map[string]int{}
	for l, err := range c.letters.Letters(context.Background(), deadletter.Filter{}) {
		if err == nil {
			err = l.Err
		}
		if err != nil {
			c.wrongf("read letters: %v", err)
			return
		}
		letter := &l.Letter
		found[letter.ID]++
		switch i := int(letter.Key.Offset) - 1; {
		case i < 0 || i >= len(c.events) || c.events[i].id != letter.ID:
			c.wrongf("a dead letter of nothing: %s", letter.Key)
		case !c.trouble.ids[letter.ID]:
			c.wrongf("wrong dead letter: %s, %d %s: %s", letter.ID, letter.Status, letter.Type, letter.Reason)
		case letter.Stage != flush.StageIndex || !bytes.Equal(letter.Event, c.events[i].payload) || !bytes.Equal(letter.Document, c.events[i].payload):
			c.wrongf("dead letter %s of stage %s holds other bytes", letter.ID, letter.Stage)
		}
	}
	for id := range c.trouble.ids {
		if found[id] != 1 {
			c.wrongf("%d dead letters of %s, want 1", found[id], id)
		}
	}
}

// judge compares what the server holds with what was appended, and the effort with what is reasonable.
func (c *cell) judge() {
	stored := 0
	for _, e := range c.events {
		d, ok := c.server.Doc(matrixIndex(e.stream), e.id)
		want := e.payload
		if e.foreign {
			want = []byte(`{"mine":false}`)
		}
		switch isLetter := c.trouble.ids[e.id]; {
		case ok && isLetter:
			c.wrongf("%s is both stored and a dead letter", e.id)
		case !ok && !isLetter:
			c.wrongf("lost: %s", e.id)
		case ok && d.Created != 1:
			c.wrongf("doubled: %s was created %d times", e.id, d.Created)
		case ok && (d.Differed > 0 && !e.foreign || !bytes.Equal(d.Source, want)):
			c.wrongf("%s was stored or sent with other bytes", e.id)
		}
		if ok {
			stored++
		}
	}
	if n := len(c.server.Docs()); n != stored {
		c.wrongf("%d documents are there that nobody sent", n-stored)
	}
	hits := c.trouble.struck()
	bound := c.trouble.bound(len(c.events))
	stores := c.trouble.fault.stored
	if stores == byTurns {
		stores = known(c.trouble.mode.period > 0)
	}
	switch conflicts := c.server.Stats().Conflicts; {
	case stores == yes && conflicts == 0:
		c.wrongf("not that fault: nothing was stored and sent again")
	case stores == no && conflicts > 0:
		c.wrongf("not that fault: %d documents were stored and sent again", conflicts)
	}
	if f := c.trouble.fault; (f.settles || f.letters) && c.result.recovery > matrixSmooth {
		c.wrongf("held up: this fault settles what it strikes, and it took %s to catch up", c.result.recovery)
	}
	if c.trouble.fault.spares && c.caughtUp["audit"] > matrixSmooth {
		c.wrongf("held up: the other stream, which is not struck, took %s to catch up", c.caughtUp["audit"])
	}
	if n := c.trouble.hurried; n > 0 {
		c.wrongf("hurried: %d requests came before the time that Retry-After gave", n)
	}
	if c.trouble.fault.parks && !c.told {
		c.wrongf("not told: it waits for an operator, and the status never said so")
	}
	if hits == 0 {
		c.wrongf("the fault never struck")
	}
	if hits > bound {
		c.wrongf("hammering: %d strikes, at most %d are reasonable", hits, bound)
	}
	// A request that is not struck settles at least one event.
	if n, most := int(c.network.requests.Load()), len(c.events)+bound+int(c.network.resets.Load()); n > most {
		c.wrongf("hammering: %d requests, at most %d are reasonable", n, most)
	}
}
