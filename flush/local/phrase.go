package local

import (
	"context"
	"slices"

	"github.com/blevesearch/bleve/v2/mapping"
	"github.com/blevesearch/bleve/v2/search"
	"github.com/blevesearch/bleve/v2/search/query"
	"github.com/blevesearch/bleve/v2/search/searcher"
	index "github.com/blevesearch/bleve_index_api"

	"github.com/weirlog/weir/flush/rawjson"
)

var _ query.Query = (*phrase)(nil)

// phrase asks for tokens that follow one another within one value. Positions are not indexed, which
// halves the index: documents that hold all tokens are read and looked at.
type phrase struct {
	field  string
	tokens []string
	all    query.Query
}

func newPhrase(field string, tokens []string) *phrase {
	var parts []query.Query
	seen := make(map[string]struct{})
	for _, token := range tokens {
		if _, dup := seen[token]; !dup {
			seen[token] = struct{}{}
			parts = append(parts, term(field, token))
		}
	}
	return &phrase{field: field, tokens: tokens, all: query.NewConjunctionQuery(parts)}
}

func (q *phrase) Searcher(ctx context.Context, r index.IndexReader, m mapping.IndexMapping, o search.SearcherOptions) (search.Searcher, error) {
	all, err := q.all.Searcher(ctx, r, m, o)
	if err != nil {
		return nil, err
	}
	stored := newStoredReader(r)
	matcher := newPhraseMatcher(q.field, q.tokens)
	seen := 0
	return searcher.NewFilteringSearcher(ctx, all, func(_ *search.SearchContext, d *search.DocumentMatch) bool {
		if seen++; seen%256 == 0 && ctx.Err() != nil {
			return false // the collector ends the search
		}
		number, err := d.IndexInternalID.Value()
		if err != nil {
			return false
		}
		found := false
		err = stored.visit(number, func(doc storedDocument) { found = matcher.matches(doc.source) })
		return err == nil && found
	}), nil
}

// phraseMatcher finds a phrase in sources. Not for concurrent use.
type phraseMatcher struct {
	field  string // fieldAll for any
	tokens []string
	walker walker
	scan   tokenizer
	recent []string // the last tokens of the value in hand
	found  bool
}

func newPhraseMatcher(field string, tokens []string) *phraseMatcher {
	m := &phraseMatcher{field: field, tokens: tokens}
	m.walker.visit = m.visit
	return m
}

func (m *phraseMatcher) matches(source []byte) bool {
	m.found = false
	m.walker.walk(source)
	return m.found
}

func (m *phraseMatcher) visit(path []byte, _ rawjson.Kind, text []byte) bool {
	if m.field != fieldAll && string(path) != m.field {
		return true
	}
	m.found = m.in(text)
	return !m.found
}

// in looks for the phrase in one value. It keeps the tokens of a window as long as the phrase.
func (m *phraseMatcher) in(text []byte) bool {
	m.scan.text = text
	m.recent = m.recent[:0]
	for {
		tok, ok := m.scan.next()
		if !ok {
			return false
		}
		// A token that is none of the phrase's empties the window.
		at := slices.IndexFunc(m.tokens, func(want string) bool { return want == string(tok) })
		if at < 0 {
			m.recent = m.recent[:0]
			continue
		}
		if len(m.recent) == len(m.tokens) {
			copy(m.recent, m.recent[1:])
			m.recent = m.recent[:len(m.recent)-1]
		}
		m.recent = append(m.recent, m.tokens[at])
		if len(m.recent) == len(m.tokens) && slices.Equal(m.recent, m.tokens) {
			return true
		}
	}
}
