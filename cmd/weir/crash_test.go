//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirlog/weir/flush/elastic/elastictest"
)

// crashScript makes every way of settling an event happen.
const crashScript = `
function transform(event, meta)
  if event.kind == "drop" then return nil end
  if event.kind == "fail" then error("asked to fail") end
  if event.kind == "split" then
    return { id = event.id, part = 1 }, { id = event.id, part = 2 }
  end
  return event
end
`

// documentsOf says how many documents an event of each kind becomes.
var documentsOf = map[string]int{"plain": 1, "split": 2, "drop": 0, "fail": 0}

type crashTest struct {
	t       *testing.T
	rng     *rand.Rand
	es      *elastictest.Server
	dataDir string
	env     []string

	mu      sync.Mutex
	acked   map[string]string // kind by event id
	unsure  map[string]string // posted, not acknowledged
	replays int
	nextID  int

	loaded  time.Duration  // how long events were sent
	started func(*process) // if set: called when a process has started, which then may end by itself
}

// newCrashTest makes a service that will be ended again and again under load, and its destination.
func newCrashTest(t *testing.T, seed uint64) *crashTest {
	dir := t.TempDir()
	script := filepath.Join(dir, "crash.lua")
	if err := os.WriteFile(script, []byte(crashScript), 0o644); err != nil {
		t.Fatal(err)
	}
	es := elastictest.Start(t, elastictest.Options{})
	return &crashTest{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), es: es, dataDir: filepath.Join(dir, "data"),
		env: []string{
			"WEIR_ELASTICSEARCH_ADDRESSES=" + es.URL(), "WEIR_TRANSFORM_SCRIPT=" + script, "WEIR_FLUSH_LINGER=20ms", "WEIR_FLUSH_BATCH_EVENTS=200",
			"WEIR_FLUSH_RETRY_MIN=5ms", "WEIR_FLUSH_RETRY_MAX=50ms", "WEIR_WAL_SEGMENT_BYTES=256KiB", "WEIR_ELASTICSEARCH_TIMESTAMP=false",
		},
		acked: map[string]string{}, unsure: map[string]string{},
	}
}

// round runs one life of the service, from its start to its SIGKILL.
func (c *crashTest) round(n int) {
	c.es.SetChaos(elastictest.Chaos{
		Seed: c.rng.Uint64(), ItemRejected: 0.05, ItemUnavailable: 0.02, ItemMalformed: 0.03, Busy: 0.05, Unavailable: 0.05,
		CutBefore: 0.05, CutAfter: 0.05, CutAnswer: 0.05, Garbage: 0.03, BrokenJSON: 0.03, ItemMissing: 0.03,
	})
	c.life(n, true, (*process).kill)
}

// orderly runs one life that ends with SIGTERM, with a destination that answers.
func (c *crashTest) orderly(n int) {
	c.life(n, false, (*process).stop)
}

// life loads a service for a moment and ends it.
func (c *crashTest) life(n int, replays bool, end func(*process)) {
	p := startWeir(c.t, c.dataDir, c.env...)
	if c.started != nil {
		c.started(p)
	}
	begun := time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	for range 4 {
		load := &loader{crashTest: c, base: p.ingest, rng: rand.New(rand.NewPCG(c.rng.Uint64(), 2))}
		work.Go(func() { load.run(ctx) })
	}
	if replays {
		work.Go(func() { c.replayUntil(ctx, p) })
	}
	select {
	case <-time.After(time.Duration(50+c.rng.IntN(500)) * time.Millisecond):
	case <-p.exited:
		if c.started == nil {
			c.t.Fatalf("round %d: weir ended by itself: %v\n%s", n, p.err, p.logged())
		}
	}
	c.loaded += time.Since(begun)
	end(p)
	cancel()
	work.Wait()
}

// loader posts bodies of a few events until its context ends or the service is gone.
type loader struct {
	*crashTest
	base string
	rng  *rand.Rand
}

func (l *loader) run(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		body, kinds := l.body()
		ok, gone := post(ctx, client, l.base+"/ingest", body, len(kinds))
		l.mu.Lock()
		for id, kind := range kinds {
			if ok {
				l.acked[id] = kind
			} else {
				l.unsure[id] = kind
			}
		}
		l.mu.Unlock()
		if gone {
			return
		}
	}
}

func (l *loader) body() ([]byte, map[string]string) {
	var b bytes.Buffer
	kinds := map[string]string{}
	for range 1 + l.rng.IntN(30) {
		l.mu.Lock()
		l.nextID++
		id := fmt.Sprintf("e%d", l.nextID)
		l.mu.Unlock()
		kind := "plain"
		switch r := l.rng.IntN(100); {
		case r < 5:
			kind = "drop"
		case r < 8:
			kind = "fail"
		case r < 15:
			kind = "split"
		}
		kinds[id] = kind
		fmt.Fprintf(&b, `{"id":%q,"kind":%q,"pad":%q}`+"\n", id, kind, strings.Repeat("x", l.rng.IntN(400)))
	}
	return b.Bytes(), kinds
}

// post reports whether all n events were acknowledged, and whether the service is gone.
func post(ctx context.Context, client *http.Client, url string, body []byte, n int) (ok, gone bool) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return false, true
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	res, err := client.Do(req)
	if err != nil {
		return false, true
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return false, true
	}
	var ack struct{ Accepted int }
	return res.StatusCode == http.StatusAccepted && json.Unmarshal(answer, &ack) == nil && ack.Accepted == n, false
}

// replayUntil replays all dead letters again and again.
func (c *crashTest) replayUntil(ctx context.Context, p *process) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.admin+"/api/v1/dead-letters/replay", strings.NewReader(`{}`))
		if err != nil {
			return
		}
		req.Header.Set("X-Weir", "1")
		req.Header.Set("Content-Type", "application/json")
		res, err := client.Do(req)
		if err != nil {
			return
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil {
			return
		}
		if res.StatusCode != http.StatusOK {
			c.t.Errorf("replay: status %d", res.StatusCode)
			return
		}
		c.mu.Lock()
		c.replays++
		c.mu.Unlock()
	}
}

// settleAll ends the faults, delivers everything, and replays what can be delivered now.
func (c *crashTest) settleAll() {
	c.es.SetChaos(elastictest.Chaos{})
	p := startWeir(c.t, c.dataDir, c.env...)
	p.drain()
	if _, stderr, code := command(c.t, c.dataDir, nil, c.env, "dlq", "replay", "--stage", "index"); code != 0 {
		c.t.Errorf("replay exited with %d: %s", code, stderr)
	}
	p.stop()
}

// judge compares what clients know with what is stored.
func (c *crashTest) judge(kills int) (lost, doubled int) {
	stored := map[string]int{}
	for _, d := range c.es.Docs() {
		var doc struct{ ID string }
		if err := json.Unmarshal(d.Source, &doc); err != nil {
			c.t.Fatalf("document %s: %v", d.ID, err)
		}
		stored[doc.ID]++
		if d.Created != 1 {
			c.t.Errorf("document %s was created %d times", d.ID, d.Created)
		}
	}
	letters := c.letters()
	check := func(id, kind string, acked bool) {
		want := documentsOf[kind]
		switch have, letter := stored[id], letters[id]; {
		case have > want || letter > 1 || letter > 0 && kind != "fail":
			doubled++
			c.t.Errorf("event %s (%s): %d documents and %d letters, %d documents expected", id, kind, have, letter, want)
		case acked && (have < want || kind == "fail" && letter == 0):
			lost++
			c.t.Errorf("acknowledged event %s (%s): %d documents and %d letters, %d documents expected", id, kind, have, letter, want)
		case !acked && have != 0 && have != want:
			c.t.Errorf("event %s (%s), not acknowledged: %d documents of %d", id, kind, have, want)
		}
	}
	for id, kind := range c.acked {
		check(id, kind, true)
	}
	for id, kind := range c.unsure {
		check(id, kind, false)
	}
	for id := range stored {
		if c.acked[id] == "" && c.unsure[id] == "" {
			c.t.Errorf("event %s was never posted", id)
		}
	}
	st := c.es.Stats()
	c.t.Logf("acknowledged %.0f events a second", float64(len(c.acked))/c.loaded.Seconds())
	c.t.Logf("lives %d, replays %d, acknowledged %d, not acknowledged %d, stored %d, letters %d, bulk requests %d: lost %d, doubled %d",
		kills, c.replays, len(c.acked), len(c.unsure), len(stored), len(letters), st.Requests, lost, doubled)
	if kills > 0 && len(c.acked) == 0 {
		c.t.Error("nothing was acknowledged: the test tested nothing")
	}
	return lost, doubled
}

// letters counts the live dead letters by event.
func (c *crashTest) letters() map[string]int {
	stdout, stderr, code := command(c.t, c.dataDir, nil, c.env, "dlq", "export")
	if code != 0 {
		c.t.Fatalf("dlq export exited with %d: %s", code, stderr)
	}
	letters := map[string]int{}
	for line := range strings.Lines(stdout) {
		var event struct{ ID string }
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			c.t.Fatalf("exported line %q: %v", line, err)
		}
		letters[event.ID]++
	}
	return letters
}
