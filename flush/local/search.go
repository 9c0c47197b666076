package local

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/blevesearch/bleve/v2/search/query"
	index "github.com/blevesearch/bleve_index_api"

	"github.com/weirlog/weir/flush/rawjson"
)

const (
	// DefaultLimit is how many hits a search returns when Query names no limit.
	DefaultLimit = 50
	// MaxLimit bounds Query.Limit.
	MaxLimit = 10_000
	// MaxWindow bounds Query.Skip and Query.Limit together.
	MaxWindow = 100_000
	// MaxResultBytes bounds the sources of one result; what would go beyond is left out and
	// Result.Truncated is set.
	MaxResultBytes = 64 << 20
)

// Query is what to look for.
type Query struct {
	// Text is in bleve's query-string syntax; "" and "*" ask for everything. See the package comment.
	Text string
	// Since and Until bound the receive time: since <= t < until. Zero means no bound.
	Since, Until time.Time
	// Limit is how many hits to return; 0 means DefaultLimit, a negative number none, at most MaxLimit.
	Limit int
	// Skip is how many hits to leave out before.
	Skip int
	// OldestFirst turns the order round; the default is newest first.
	OldestFirst bool
}

// Hit is a document that was found.
type Hit struct {
	ID         string
	Index      string
	Stream     string
	ReceivedAt time.Time
	Timestamp  time.Time // the document's @timestamp; zero when it has none that can be read
	Source     []byte    // as it was sent, byte for byte; the caller's
}

// Result is what a search found.
type Result struct {
	Total     uint64 // documents that match, returned or not
	Hits      []Hit  // in order of receive time
	Took      time.Duration
	Truncated bool // hits are missing because their sources are over MaxResultBytes
}

// Search finds documents. Faults of the query are *QueryError. It waits for parts that are being opened.
func (s *Store) Search(ctx context.Context, q Query) (Result, error) {
	start := time.Now()
	if err := s.enter(); err != nil {
		return Result{}, err
	}
	defer s.leave()
	defer s.metrics.observeSearch(start)
	compiled, err := q.compile()
	if err != nil {
		return Result{}, err
	}
	select {
	case s.readers <- struct{}{}:
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	defer func() { <-s.readers }()

	c := collection{oldestFirst: q.OldestFirst, size: q.Skip + max(q.Limit, 0), maxBytes: s.resultBytes}
	defer c.close()
	parts := s.snapshot()
	if !q.OldestFirst {
		slices.Reverse(parts)
	}
	for _, p := range parts {
		r, err := s.reader(ctx, p)
		if err == nil && r != nil {
			c.readers = append(c.readers, r)
			err = s.blame(p, guarded(func() error { return c.collect(ctx, p.wanted(&c), compiled) }))
		}
		if err != nil {
			return Result{}, fmt.Errorf("search part %d: %w", p.number, err)
		}
	}
	res := Result{Total: c.total}
	if err := guarded(func() error { return c.read(&res, q.Skip) }); err != nil {
		return Result{}, fmt.Errorf("read documents: %w", err)
	}
	res.Took = time.Since(start)
	return res, nil
}

// reader returns a view of the part as it is now, nil when the part is gone. The view stays valid when the
// part is sealed or removed: it holds the mapped files.
func (s *Store) reader(ctx context.Context, p *part) (r index.IndexReader, err error) {
	err = s.use(ctx, p, func(idx index.Index) error {
		r, err = idx.Reader()
		return err
	})
	return r, err
}

// compile checks the query, fills in defaults, and makes what the index runs.
func (q *Query) compile() (query.Query, error) {
	if q.Limit == 0 {
		q.Limit = DefaultLimit
	}
	bad := func(format string, args ...any) error {
		return &QueryError{Position: -1, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case q.Limit > MaxLimit:
		return nil, bad("limit is %d, at most %d is allowed", q.Limit, MaxLimit)
	case q.Skip < 0:
		return nil, bad("skip is %d, it cannot be below 0", q.Skip)
	case q.Skip > MaxWindow-max(q.Limit, 0):
		return nil, bad("skip and limit together are over %d; narrow the time instead", MaxWindow)
	case !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until):
		return nil, bad("since (%s) is not before until (%s)", q.Since.Format(time.RFC3339), q.Until.Format(time.RFC3339))
	}
	tree, err := parse(q.Text)
	if err != nil || q.Since.IsZero() && q.Until.IsZero() {
		return tree, err
	}
	return query.NewConjunctionQuery([]query.Query{tree, received(q.Since, q.Until)}), nil
}

// timestampOf reads the @timestamp of a source.
func timestampOf(source []byte) time.Time {
	raw, ok := rawjson.Lookup(source, "@timestamp")
	if !ok || rawjson.KindOf(raw) != rawjson.String {
		return time.Time{}
	}
	t, _, _ := parseTime(rawjson.AppendUnquoted(nil, raw))
	return t
}

// Get returns the document stored under index and id; false when there is none.
func (s *Store) Get(ctx context.Context, indexName, id string) (Hit, bool, error) {
	if err := s.enter(); err != nil {
		return Hit{}, false, err
	}
	defer s.leave()
	key := id + "\x00" + indexName
	for _, p := range slices.Backward(s.snapshot()) {
		if p.excludes(key) {
			continue
		}
		r, err := s.reader(ctx, p)
		if err != nil {
			return Hit{}, false, fmt.Errorf("read part %d: %w", p.number, err)
		}
		if r == nil {
			continue
		}
		var hit Hit
		var ok bool
		err = s.blame(p, guarded(func() error {
			defer r.Close()
			hit, ok, err = newStoredReader(r).find(key)
			return err
		}))
		if err != nil || ok {
			return hit, ok, err
		}
	}
	return Hit{}, false, nil
}
