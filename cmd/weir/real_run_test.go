package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/weirlog/weir/flush"
)

// realRun is the real weir between a client that keeps account and a real server.
type realRun struct {
	*testing.T
	server  *realServer
	targets []string // every index that documents may be in
	dataDir string
	env     []string
	config  string
	proc    *process
	client  *http.Client

	mu    sync.Mutex
	sent  map[int]realEvent
	acked map[int]bool
}

// realPace is quick: tests do not wait for pauses that are meant for people.
var realPace = []string{"WEIR_FLUSH_LINGER=10ms", "WEIR_FLUSH_RETRY_MIN=10ms", "WEIR_FLUSH_RETRY_MAX=200ms", "WEIR_FLUSH_BATCH_EVENTS=500"}

// startRealRun starts weir with a configuration, whose section elasticsearch says where to; targets are the indices that it may lead to.
func startRealRun(t *testing.T, server *realServer, config string, targets ...string) *realRun {
	t.Helper()
	dir := t.TempDir()
	r := &realRun{
		T: t, server: server, targets: targets, dataDir: filepath.Join(dir, "data"), config: filepath.Join(dir, "weir.yaml"), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}},
		sent: map[int]realEvent{}, acked: map[int]bool{},
	}
	t.Cleanup(r.client.CloseIdleConnections)
	r.write(r.config, config)
	r.env = append([]string{"WEIR_CONFIG=" + r.config, "WEIR_ELASTICSEARCH_ADDRESSES=" + server.url}, realPace...)
	r.start()
	return r
}

func (r *realRun) write(path, text string) {
	r.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
}

func (r *realRun) start() {
	r.Helper()
	r.proc = startWeir(r.T, r.dataDir, r.env...)
}

// post sends events to a stream in one body, all of which have to be accepted.
func (r *realRun) post(stream string, events []realEvent) {
	r.Helper()
	if err := r.tryPost(stream, events); err != nil {
		r.Fatalf("%v\n%s", err, r.proc.logged())
	}
}

// tryPost returns an error when nobody acknowledged; what became of the events is not known then. May be called concurrently.
func (r *realRun) tryPost(stream string, events []realEvent) error {
	var body strings.Builder
	r.mu.Lock()
	for _, e := range events {
		r.sent[e.n] = e
		body.WriteString(e.raw + "\n")
	}
	r.mu.Unlock()
	res, err := r.client.Post(r.proc.ingest+"/ingest/"+stream, "application/x-ndjson", strings.NewReader(body.String()))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var answer struct{ Accepted int }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != http.StatusAccepted || answer.Accepted != len(events) {
		return fmt.Errorf("post of %d events: %s, %d accepted, %v", len(events), res.Status, answer.Accepted, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		r.acked[e.n] = true
	}
	return nil
}

// postAll sends many events in bodies of 500.
func (r *realRun) postAll(stream string, events []realEvent) {
	r.Helper()
	for body := range slices.Chunk(events, 500) {
		r.post(stream, body)
	}
}

// realLetter is what an operator sees of a dead letter.
type realLetter struct {
	Stage  string `json:"stage"`
	Status int    `json:"status"`
	Type   string `json:"type"`
	Reason string `json:"reason"`
	Index  string `json:"index"`
	Event  struct {
		Bytes []byte `json:"base64"`
	} `json:"event"`
}

// letters returns the dead letters by the number of their event.
func (r *realRun) letters() map[int][]realLetter {
	r.Helper()
	out := r.weir(exitDone, "dlq", "export", "--with-envelope")
	letters := map[int][]realLetter{}
	for line := range strings.Lines(out) {
		var l realLetter
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			r.Fatalf("dlq export: %v in %.300q", err, line)
		}
		n, ok := realNumber(l.Event.Bytes)
		if !ok {
			r.Errorf("a letter holds none of our events: %.300s", line)
		}
		letters[n] = append(letters[n], l)
	}
	return letters
}

// weir runs a command of the operator and returns what it prints.
func (r *realRun) weir(wantCode int, args ...string) string {
	r.Helper()
	stdout, stderr, code := command(r.T, r.dataDir, nil, r.env, args...)
	if code != wantCode {
		r.Fatalf("weir %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, wantCode, stdout, stderr)
	}
	return stdout
}

// stock counts events, documents and letters, once everything is settled. Every acknowledged event has to be one document or one
// letter; one whose answer was lost may be one or nothing. must says which events have to be letters; nil: none.
func (r *realRun) stock(step string, must func(realEvent) bool) (documents, letters int) {
	r.Helper()
	stored, dead := r.server.numbers(r.targets...), r.letters()
	r.mu.Lock()
	defer r.mu.Unlock()
	var wrong []string
	for n, e := range r.sent {
		docs, kept := stored[n], len(dead[n])
		documents, letters = documents+docs, letters+kept
		switch {
		case docs+kept > 1 || docs+kept == 0 && r.acked[n]:
			wrong = append(wrong, fmt.Sprintf("event %d (%s): %d documents, %d letters", n, e.odd, docs, kept))
		case kept > 0 && (must == nil || !must(e)):
			wrong = append(wrong, fmt.Sprintf("event %d is a letter without need: %+v", n, dead[n][0]))
		case docs > 0 && must != nil && must(e):
			wrong = append(wrong, fmt.Sprintf("event %d (%s) was stored", n, e.odd))
		}
	}
	for n, count := range stored {
		if _, ok := r.sent[n]; !ok {
			wrong = append(wrong, fmt.Sprintf("%d documents of an event %d that nobody sent", count, n))
		}
	}
	slices.Sort(wrong)
	for _, w := range wrong[:min(len(wrong), 10)] {
		r.Errorf("%s: %.600s", step, w)
	}
	if len(wrong) > 0 {
		r.Fatalf("%s: %d events are not as they should be\n%.4000s", step, len(wrong), r.proc.logged())
	}
	r.Logf("%s: %d events sent, %d acknowledged; %d documents, %d letters", step, len(r.sent), len(r.acked), documents, letters)
	return documents, letters
}

// settled waits until everything is settled, and takes stock.
func (r *realRun) settled(step string, must func(realEvent) bool) (documents, letters int) {
	r.Helper()
	r.proc.drain()
	return r.stock(step, must)
}

// isOdd is what stock asks when every event that does not fit has to be a letter.
func isOdd(e realEvent) bool { return e.odd != "" }

// delivery asks the service how delivery is.
func (r *realRun) delivery() flush.Status {
	r.Helper()
	res, err := r.client.Get(r.proc.admin + "/api/v1/status")
	if err != nil {
		r.Fatal(err)
	}
	defer res.Body.Close()
	var st struct {
		Flush flush.Status `json:"flush"`
	}
	if err := json.NewDecoder(res.Body).Decode(&st); err != nil {
		r.Fatalf("status: %v", err)
	}
	return st.Flush
}

// stream asks how the delivery of one stream is.
func (r *realRun) stream(name string) flush.StreamStatus {
	r.Helper()
	for _, s := range r.delivery().Streams {
		if s.Name == name {
			return s
		}
	}
	r.Fatalf("status names no stream %s", name)
	return flush.StreamStatus{}
}

// await waits until something is as it should be.
func (r *realRun) await(ok func() bool, otherwise string) {
	r.Helper()
	if err := await(ok, otherwise); err != nil {
		r.Fatalf("%v\n%.4000s", err, r.proc.logged())
	}
}

// parked waits until a stream, or its destination, is parked, and returns why.
func (r *realRun) parked(name string) string {
	r.Helper()
	var why string
	r.await(func() bool {
		st := r.delivery()
		for _, s := range st.Streams {
			if s.Name == name && s.State == flush.StateParked {
				why = s.Why
			}
			for _, d := range st.Destinations {
				if s.Name == name && d.Name == s.Destination && d.State == flush.StateParked {
					why = d.Why
				}
			}
		}
		return why != ""
	}, "stream "+name+" is not parked")
	return why
}

// metrics is what a monitoring system sees.
func (r *realRun) metrics() string {
	r.Helper()
	res, err := r.client.Get(r.proc.admin + "/metrics")
	if err != nil {
		r.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.Fatal(err)
	}
	return string(text)
}

// metric sums the series of a counter that have a label of this value; "" fits all.
func (r *realRun) metric(name, value string) float64 {
	r.Helper()
	sum := 0.0
	for line := range strings.Lines(r.metrics()) {
		series, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		family, labels, _ := strings.Cut(series, "{")
		if family == name && strings.Contains(labels, `"`+value) {
			n, err := strconv.ParseFloat(number, 64)
			if err != nil {
				r.Fatalf("metrics: %q", line)
			}
			sum += n
		}
	}
	return sum
}

// patched is settled for the time when letters are being mended: those that do not fit may be either.
func (r *realRun) patched(step string) (documents, letters int) {
	r.Helper()
	r.proc.drain()
	dead := r.letters()
	return r.stock(step, func(e realEvent) bool { return e.odd != "" && len(dead[e.n]) > 0 })
}
