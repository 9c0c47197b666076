package local

import (
	"strings"

	"github.com/blevesearch/bleve/v2/mapping"
	"github.com/blevesearch/bleve/v2/search/query"
)

// schema is what the library's queries ask for: where to look without a field name. Terms are made here,
// not by the library's analysers.
var schema = func() mapping.IndexMapping {
	m := mapping.NewIndexMapping()
	m.DefaultField = fieldAll
	return m
}()

// compile turns a parsed query into one over the terms that this package makes. nil means that nothing
// in it can match: words without a letter or digit.
//
// Differences from how the library would run the same tree: a word that is several tokens is a phrase;
// numbers and times are looked up in our own terms; a part that matches nothing matches nothing, while
// the library leaves it out of a conjunction; nothing is ranked, so that what is merely wished for
// beside something required has no effect.
func compile(q query.Query) query.Query {
	switch q := q.(type) {
	case *query.BooleanQuery:
		return compileBoolean(q)
	case *query.DisjunctionQuery:
		return anyOf(q.Disjuncts)
	case *query.MatchQuery:
		return words(fieldOf(q.FieldVal), q.Match, q.Fuzziness)
	case *query.MatchPhraseQuery:
		return words(fieldOf(q.FieldVal), q.MatchPhrase, 0)
	case *query.WildcardQuery:
		return wildcard(fieldOf(q.FieldVal), q.Wildcard)
	case *query.RegexpQuery:
		field := fieldOf(q.FieldVal)
		q.SetField(field)
		return q
	case *query.NumericRangeQuery:
		return numberRange(fieldOf(q.FieldVal), q)
	case *query.DateRangeQuery:
		return dateRange(fieldOf(q.FieldVal), q)
	case nil:
		return nil
	}
	return q
}

// fieldOf maps the name of a field in a query to its name in the index.
func fieldOf(name string) string {
	switch name {
	case "":
		return fieldAll
	case aliasReceived:
		return fieldReceived
	}
	return name
}

// whole reports whether the field holds its value as one term, as it is spelled.
func whole(field string) bool {
	return field == fieldID || field == fieldIndex || field == fieldStream
}

func compileBoolean(q *query.BooleanQuery) query.Query {
	out := &boolean{}
	if must, ok := q.Must.(*query.ConjunctionQuery); ok && len(must.Conjuncts) > 0 {
		out.base = allOf(must.Conjuncts)
	} else if should, ok := q.Should.(*query.DisjunctionQuery); ok && len(should.Disjuncts) > 0 {
		out.base = anyOf(should.Disjuncts)
	} else {
		out.base = query.NewMatchAllQuery()
	}
	if out.base == nil {
		return nil
	}
	if not, ok := q.MustNot.(*query.DisjunctionQuery); ok {
		out.not = anyOf(not.Disjuncts)
	}
	if out.not == nil {
		return out.base
	}
	return out
}

// allOf requires every part; parts that are no words at all ask for nothing.
func allOf(parts []query.Query) query.Query {
	var out []query.Query
	for _, part := range parts {
		if c := compile(part); c != nil {
			out = append(out, c)
		}
	}
	switch len(out) {
	case 0:
		return nil
	case 1:
		return out[0]
	}
	return query.NewConjunctionQuery(out)
}

func anyOf(parts []query.Query) query.Query {
	var out []query.Query
	for _, part := range parts {
		if c := compile(part); c != nil {
			out = append(out, c)
		}
	}
	switch len(out) {
	case 0:
		return nil
	case 1:
		return out[0]
	}
	return query.NewDisjunctionQuery(out)
}

// words asks for text: one token as a term, several as a phrase.
func words(field, text string, fuzziness int) query.Query {
	if field == fieldID {
		q := query.NewPrefixQuery(text + "\x00")
		q.SetField(field)
		return q
	}
	if whole(field) {
		return term(field, text)
	}
	if t, span, ok := parseTime([]byte(text)); ok && field != fieldAll {
		return &valueRange{field: field, kind: kindTime, low: sortableTime(t), high: sortableTime(t.Add(max(span-1, 0)))}
	}
	tokens := tokensOf(text)
	switch {
	case len(tokens) == 0:
		return nil
	case fuzziness > 0:
		return fuzzy(field, tokens, fuzziness)
	case len(tokens) == 1:
		return term(field, tokens[0])
	}
	return newPhrase(field, tokens)
}

func term(field, text string) query.Query {
	q := query.NewTermQuery(text)
	q.SetField(field)
	return q
}

// maxFuzziness is how many letters may differ; the library takes no more.
const maxFuzziness = 2

func fuzzy(field string, tokens []string, fuzziness int) query.Query {
	var out []query.Query
	for _, token := range tokens {
		q := query.NewFuzzyQuery(token)
		q.SetField(field)
		q.SetFuzziness(min(fuzziness, maxFuzziness))
		out = append(out, q)
	}
	if len(out) == 1 {
		return out[0]
	}
	return query.NewConjunctionQuery(out)
}

// wildcard asks for terms of a pattern. Terms are in lower case, so the pattern is too. A lone star asks
// for documents that have the field.
func wildcard(field, pattern string) query.Query {
	if strings.Trim(pattern, "*") == "" {
		if field == fieldAll {
			return query.NewMatchAllQuery()
		}
		return &present{field: field}
	}
	if !whole(field) {
		pattern = strings.ToLower(pattern)
	}
	if field == fieldID {
		pattern += "\x00*"
	}
	q := query.NewWildcardQuery(pattern)
	q.SetField(field)
	return q
}
