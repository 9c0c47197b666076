package local

import (
	"container/heap"
	"context"
	"fmt"
	"slices"

	"github.com/blevesearch/bleve/v2/search"
	"github.com/blevesearch/bleve/v2/search/query"
	index "github.com/blevesearch/bleve_index_api"
)

// found is a document that matches, before it is read.
type found struct {
	order  uint64
	reader int // position among the readers
	number uint64
}

// collection counts what matches and keeps the best of it, at most size. It is a heap with the worst on
// top. Parts come in the order of the result, so that later ones are mostly counted only.
type collection struct {
	oldestFirst bool
	size        int
	maxBytes    int // of the sources read
	total       uint64
	best        []found
	readers     []index.IndexReader // open until the documents are read
}

var _ heap.Interface = (*collection)(nil)

func (c *collection) close() {
	for _, r := range c.readers {
		_ = r.Close() // gives up a view; nothing was written
	}
}

// before reports whether order a comes before order b in the result.
func (c *collection) before(a, b uint64) bool {
	if c.oldestFirst {
		return a < b
	}
	return a > b
}

func (c *collection) Len() int           { return len(c.best) }
func (c *collection) Less(i, j int) bool { return c.before(c.best[j].order, c.best[i].order) }
func (c *collection) Swap(i, j int)      { c.best[i], c.best[j] = c.best[j], c.best[i] }
func (c *collection) Push(x any)         { c.best = append(c.best, x.(found)) }
func (c *collection) Pop() any {
	last := c.best[len(c.best)-1]
	c.best = c.best[:len(c.best)-1]
	return last
}

// wants reports whether a document of this order would be kept.
func (c *collection) wants(order uint64) bool {
	if len(c.best) < c.size {
		return true
	}
	return c.size > 0 && c.before(order, c.best[0].order)
}

// wanted reports whether any document of the part could be among the best of c. The part that is written
// to may show more than its summary says.
func (p *part) wanted(c *collection) bool {
	p.mu.RLock()
	sealed := p.filter != nil
	p.mu.RUnlock()
	sum := p.summary.get()
	if c.oldestFirst {
		return c.size > 0 && !sealed || c.wants(sum.Oldest)
	}
	return c.size > 0 && !sealed || c.wants(sum.Newest)
}

// collect counts what matches in the last reader and, if wanted, keeps the best of it.
func (c *collection) collect(ctx context.Context, wanted bool, q query.Query) error {
	r := c.readers[len(c.readers)-1]
	if _, everything := q.(*query.MatchAllQuery); everything && !wanted {
		n, err := r.DocCount()
		c.total += n
		return err
	}
	searcher, err := q.Searcher(ctx, r, schema, search.SearcherOptions{Score: "none"})
	if err != nil {
		return err
	}
	defer searcher.Close()
	orders, err := r.DocValueReader([]string{fieldOrder})
	if err != nil {
		return fmt.Errorf("read order: %w", err)
	}
	pool := search.NewDocumentMatchPool(searcher.DocumentMatchPoolSize()+1, 0)
	sc := &search.SearchContext{DocumentMatchPool: pool, IndexReader: r}
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		match, err := searcher.Next(sc)
		if err != nil {
			return err
		}
		if match == nil {
			return ctx.Err() // a filter that saw ctx end says "no more"
		}
		c.total++
		if wanted {
			if err := c.offer(match.IndexInternalID, orders); err != nil {
				return err
			}
		}
		pool.Put(match)
	}
}

// offer keeps the document if it is among the best so far.
func (c *collection) offer(id index.IndexInternalID, orders index.DocValueReader) error {
	f := found{reader: len(c.readers) - 1}
	err := orders.VisitDocValues(id, func(_ string, term []byte) { f.order = parseOrder(term) })
	if err != nil {
		return fmt.Errorf("read order: %w", err)
	}
	if !c.wants(f.order) {
		return nil
	}
	if f.number, err = id.Value(); err != nil {
		return fmt.Errorf("read document number: %w", err)
	}
	if len(c.best) < c.size {
		heap.Push(c, f)
		return nil
	}
	c.best[0] = f
	heap.Fix(c, 0)
	return nil
}

// read fills in the hits that remain after skipping, in the order of the result.
func (c *collection) read(res *Result, skip int) error {
	slices.SortFunc(c.best, func(a, b found) int {
		switch {
		case c.before(a.order, b.order):
			return -1
		case c.before(b.order, a.order):
			return 1
		}
		return 0
	})
	size := 0
	for _, f := range c.best[min(skip, len(c.best)):] {
		err := newStoredReader(c.readers[f.reader]).visit(f.number, func(doc storedDocument) {
			if size += len(doc.source); size > c.maxBytes && len(res.Hits) > 0 {
				res.Truncated = true
				return
			}
			res.Hits = append(res.Hits, doc.hit())
		})
		if err != nil {
			return err
		}
		if res.Truncated {
			return nil
		}
	}
	return nil
}

// hit returns the document with bytes of its own.
func (d storedDocument) hit() Hit {
	source := slices.Clone(d.source)
	return Hit{
		ID: d.id, Index: d.index, Stream: d.stream,
		ReceivedAt: d.received, Timestamp: timestampOf(source), Source: source,
	}
}
