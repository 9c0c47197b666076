package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/dustin/go-humanize"

	"github.com/weirlog/weir/bench/load"
	"github.com/weirlog/weir/bench/report"
)

// How events are posted that go into the embedded destination.
const (
	storeConnections = 16
	storeEvents      = 100 // of a request
	storeEventBytes  = 320
)

// manyDocuments is what a full run has besides; see amount for fewDocuments.
const (
	manyDocuments = 500_000
	fewDocuments  = 48_000
)

// runStore runs the scenario of the embedded destination: events are indexed, and searched for meanwhile and after.
func (l *lab) runStore(ctx context.Context, scenario string) error {
	for _, n := range l.storeCounts() {
		const step = storeConnections * storeEvents
		n = max(n/step, 1) * step
		info := report.Case{Scenario: scenario, Name: fmt.Sprintf("%s events of %d B", humanize.Comma(int64(n)), storeEventBytes),
			Connections: storeConnections, Events: storeEvents, EventBytes: storeEventBytes}
		err := l.runRows(ctx, info, storeRoundTakes(n), func(ctx context.Context, dir, binary string, first bool) ([]measuredRow, []string, error) {
			return l.storeRound(ctx, dir, binary, n, first)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// storeCounts are the numbers of events that are to run.
func (o *options) storeCounts() []int { return o.amounts(fewDocuments, manyDocuments, storeRoundTakes) }

// storeRoundTakes is about how long a round takes: some 90 µs an event, and the searches.
func storeRoundTakes(n int) time.Duration {
	return 2*time.Second + time.Duration(n)*90*time.Microsecond
}

// storeTakes is about how long the scenario takes, and the cases that it leaves out.
func storeTakes(o *options) (time.Duration, int) {
	return o.amountsTake(fewDocuments, manyDocuments, storeRoundTakes)
}

// storeRound starts a weir without an Elasticsearch, posts the events and searches.
func (l *lab) storeRound(ctx context.Context, dir, binary string, documents int, first bool) (rows []measuredRow, problems []string, err error) {
	s := &server{path: "/ingest"}
	err = s.launch(ctx, binary, dir, "", []string{"WEIR_STORE_MAX_BYTES=64GiB"}) // nothing is to go before it was counted
	if s.process != nil {
		defer s.process.kill()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("start: %w", err)
	}
	profiled := func() error { return nil }
	if first && l.profiles != "" {
		profiled = l.profile(ctx, s.admin, fmt.Sprintf("store %d events", documents), l.window())
	}
	meanwhile, stop := context.WithCancel(ctx)
	defer stop()
	searches := newSearcher(s.admin)
	searched := make(chan error, 1)
	go func() { searched <- searches.atRate(meanwhile) }()

	indexed, err := l.index(ctx, s, documents)
	stop()
	if err := errors.Join(err, <-searched, profiled()); err != nil {
		return nil, nil, s.process.orEnded(err)
	}
	rows = append(rows, measuredRow{"weir, search store", indexed}, measuredRow{"searches while it indexes", searches.round()})

	after := newSearcher(s.admin)
	if err := after.times(ctx, searchesAfter); err != nil {
		return rows, nil, s.process.orEnded(err)
	}
	rows = append(rows, measuredRow{"searches after", after.round()})
	found, err := after.search(ctx, "", 1)
	if err != nil {
		return rows, nil, s.process.orEnded(err)
	}
	if found != uint64(documents) {
		problems = append(problems, fmt.Sprintf("%d events were acknowledged and %d are found", documents, found))
	}
	if err := s.process.stop(stopPatience); err != nil {
		problems = append(problems, err.Error())
	}
	return rows, problems, nil
}

// index posts the events and waits until all are in the store.
func (l *lab) index(ctx context.Context, s *server, documents int) (round report.Round, err error) {
	pid := s.process.cmd.Process.Pid
	before, err := readUsage(pid)
	if err != nil {
		return round, err
	}
	result, err := load.Run(ctx, load.Plan{Address: s.address, Connections: storeConnections, Threads: 1, Limit: documents / (storeConnections * storeEvents),
		Requests: load.Make(s.address, load.Shape{Path: s.path, Events: storeEvents, EventBytes: storeEventBytes, Variants: variants, Seed: 1})})
	if err != nil {
		return round, fmt.Errorf("load: %w", err)
	}
	end, problems := s.check(ctx, result)
	if len(problems) > 0 || result.Acked != int64(documents) {
		return round, fmt.Errorf("%d of %d events were acknowledged: %v", result.Acked, documents, problems)
	}
	if err := settled(ctx, s, documents); err != nil {
		return round, err
	}
	length := time.Since(result.Begun)
	after, err := readUsage(pid)
	if err != nil {
		return round, err
	}
	round = figures(result, s, end)
	round.Delivered = float64(documents) / length.Seconds()
	round.CPU = (after.cpu - before.cpu).Seconds() / (float64(documents) / 1e6)
	round.PeakMegabytes, round.EndMegabytes = float64(after.peak)/1e6, float64(after.now)/1e6
	return round, nil
}

// searchQueries are asked for in turn, 20 events each, as people ask: the newest that hold a word, a field, a range.
var searchQueries = []string{"payment", "+level:>=400 +channel:db", "context.service:checkout", "+message:declined +context.user_id:>900000"}

const (
	searchesPerSecond = 25 // while it indexes: seldom enough that searching does not stop indexing
	searchesAfter     = 200
	searchHits        = 20
)

// searcher asks weir's store and keeps how long the answers took.
type searcher struct {
	client *http.Client
	admin  string
	asked  int
	taken  *hdrhistogram.Histogram // microseconds
}

func newSearcher(admin string) *searcher {
	const most, digits = 60_000_000, 3
	return &searcher{client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableCompression: true}}, admin: admin, taken: hdrhistogram.New(1, most, digits)}
}

// atRate searches until ctx ends. A search counts from when it was due, so that a slow one does not hide that others waited.
func (s *searcher) atRate(ctx context.Context) error {
	defer s.client.CloseIdleConnections()
	const interval = time.Second / searchesPerSecond
	timer := time.NewTimer(0)
	defer timer.Stop()
	for due := time.Now(); ; due = due.Add(interval) {
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if err := s.next(ctx, due); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// times searches so often, one after the other.
func (s *searcher) times(ctx context.Context, n int) error {
	for range n {
		if err := s.next(ctx, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// next makes the next search and keeps its time.
func (s *searcher) next(ctx context.Context, due time.Time) error {
	query := searchQueries[s.asked%len(searchQueries)]
	s.asked++
	if _, err := s.search(ctx, query, searchHits); err != nil {
		return fmt.Errorf("search for %q: %w", query, err)
	}
	s.taken.RecordValue(max(time.Since(due).Microseconds(), 1)) //nolint:errcheck // a search ends within the client's minute
	return nil
}

// search returns how many events a query finds.
func (s *searcher) search(ctx context.Context, query string, limit int) (total uint64, err error) {
	var answer struct{ Total uint64 }
	params := url.Values{"q": {query}, "limit": {fmt.Sprint(limit)}}
	err = getWith(ctx, s.client, s.admin+"/api/v1/search?"+params.Encode(), func(r io.Reader) error {
		text, err := io.ReadAll(r) // to the end, so that the connection is used again
		if err != nil {
			return fmt.Errorf("read answer: %w", err)
		}
		return json.Unmarshal(text, &answer)
	})
	return answer.Total, err
}

func (s *searcher) round() report.Round {
	millis := func(p float64) float64 { return float64(s.taken.ValueAtPercentile(p)) / 1e3 }
	return report.Round{P50: millis(50), P99: millis(99)}
}
