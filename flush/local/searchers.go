package local

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/blevesearch/bleve/v2/mapping"
	"github.com/blevesearch/bleve/v2/search"
	"github.com/blevesearch/bleve/v2/search/query"
	"github.com/blevesearch/bleve/v2/search/searcher"
	index "github.com/blevesearch/bleve_index_api"
)

var (
	_ query.Query = (*boolean)(nil)
	_ query.Query = (*valueRange)(nil)
	_ query.Query = (*present)(nil)
)

// boolean is base without not.
type boolean struct{ base, not query.Query }

func (q *boolean) Searcher(ctx context.Context, r index.IndexReader, m mapping.IndexMapping, o search.SearcherOptions) (search.Searcher, error) {
	base, err := q.base.Searcher(ctx, r, m, o)
	if err != nil {
		return nil, err
	}
	if _, none := base.(*searcher.MatchNoneSearcher); none {
		return base, nil
	}
	not, err := q.not.Searcher(ctx, r, m, o)
	if err != nil {
		_ = base.Close()
		return nil, err
	}
	if _, none := not.(*searcher.MatchNoneSearcher); none {
		return base, nil
	}
	return searcher.NewBooleanSearcher(ctx, r, base, nil, not, o)
}

// valueRange asks for numbers or times from low to high, both included.
type valueRange struct {
	field     string
	kind      byte
	low, high uint64
}

func (q *valueRange) Searcher(ctx context.Context, r index.IndexReader, _ mapping.IndexMapping, o search.SearcherOptions) (search.Searcher, error) {
	var terms [][]byte
	for _, tr := range rangeTerms(q.kind, q.low, q.high) {
		var err error
		if terms, err = dictionary(terms, r, q.field, tr.first, tr.last); err != nil {
			return nil, err
		}
	}
	return oneOf(ctx, r, q.field, terms, o)
}

// present asks for documents that have any term in a field.
type present struct{ field string }

func (q *present) Searcher(ctx context.Context, r index.IndexReader, _ mapping.IndexMapping, o search.SearcherOptions) (search.Searcher, error) {
	terms, err := dictionary(nil, r, q.field, nil, nil)
	if err != nil {
		return nil, err
	}
	return oneOf(ctx, r, q.field, terms, o)
}

// dictionary appends the terms of a field between first and last, both included.
func dictionary(dst [][]byte, r index.IndexReader, field string, first, last []byte) ([][]byte, error) {
	dict, err := r.FieldDictRange(field, first, last)
	if err != nil {
		return nil, fmt.Errorf("read terms of %s: %w", field, err)
	}
	defer dict.Close()
	for {
		e, err := dict.Next()
		if err != nil {
			return nil, fmt.Errorf("read terms of %s: %w", field, err)
		}
		if e == nil {
			return dst, nil
		}
		dst = append(dst, []byte(e.Term))
	}
}

func oneOf(ctx context.Context, r index.IndexReader, field string, terms [][]byte, o search.SearcherOptions) (search.Searcher, error) {
	if len(terms) == 0 {
		return searcher.NewMatchNoneSearcher(r)
	}
	return searcher.NewMultiTermSearcherBytes(ctx, r, terms, field, 1, o, false)
}

func numberRange(field string, q *query.NumericRangeQuery) query.Query {
	low, high := sortableFloat(math.Inf(-1)), sortableFloat(math.Inf(1))
	if q.Min != nil {
		low = sortableFloat(*q.Min)
		if q.InclusiveMin != nil && !*q.InclusiveMin {
			low++
		}
	}
	if q.Max != nil {
		high = sortableFloat(*q.Max)
		if q.InclusiveMax == nil || !*q.InclusiveMax {
			high--
		}
	}
	return &valueRange{field: field, kind: kindNumber, low: low, high: high}
}

func dateRange(field string, q *query.DateRangeQuery) query.Query {
	low, high := uint64(0), uint64(math.MaxUint64)
	if !q.Start.IsZero() {
		low = sortableTime(q.Start.Time)
		if q.InclusiveStart != nil && !*q.InclusiveStart {
			low++
		}
	}
	if !q.End.IsZero() {
		high = sortableTime(q.End.Time)
		if q.InclusiveEnd == nil || !*q.InclusiveEnd {
			high--
		}
	}
	return &valueRange{field: field, kind: kindTime, low: low, high: high}
}

// received asks for documents received from since to before until; zero times are open ends.
func received(since, until time.Time) query.Query {
	q := &valueRange{field: fieldReceived, kind: kindTime, high: math.MaxUint64}
	if !since.IsZero() {
		q.low = sortableTime(since)
	}
	if !until.IsZero() {
		q.high = sortableTime(until) - 1
	}
	return q
}
