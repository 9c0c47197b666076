package local

import (
	"fmt"
	"sync"

	index "github.com/blevesearch/bleve_index_api"
)

// summaryBox keeps the summary of a part while batches are added.
type summaryBox struct {
	mu sync.Mutex
	partSummary
}

func (b *summaryBox) get() partSummary {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.partSummary
}

func (b *summaryBox) set(s partSummary) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.partSummary = s
}

func (b *summaryBox) add(docs []*document) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range docs {
		if b.Documents == 0 {
			b.Oldest, b.Newest = d.order, d.order
		}
		b.Oldest, b.Newest = min(b.Oldest, d.order), max(b.Newest, d.order)
		b.Documents++
	}
}

// summarise reads a part's summary from its index.
func summarise(r index.IndexReader) (s partSummary, err error) {
	if s.Documents, err = r.DocCount(); err != nil || s.Documents == 0 {
		return s, err
	}
	dict, err := r.FieldDict(fieldOrder)
	if err != nil {
		return s, fmt.Errorf("read order: %w", err)
	}
	defer dict.Close()
	first := true
	for e, err := dict.Next(); e != nil || err != nil; e, err = dict.Next() {
		if err != nil {
			return s, fmt.Errorf("read order: %w", err)
		}
		s.Newest = parseOrder([]byte(e.Term))
		if first {
			s.Oldest, first = s.Newest, false
		}
	}
	return s, nil
}
