package local

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/blevesearch/bleve/v2/mapping"
	"github.com/blevesearch/bleve/v2/search/query"
	vregexp "github.com/blevesearch/vellum/regexp"
)

// schema is what the library's queries ask for: where to look without a field name. Terms are made here,
// not by the library's analysers.
var schema = func() mapping.IndexMapping {
	m := mapping.NewIndexMapping()
	m.DefaultField = fieldAll
	return m
}()

// compiler remembers the first fault that it meets.
type compiler struct{ err *QueryError }

// compile turns a parsed query into one over the terms that this package makes. nil means that nothing
// in it can match: words without a letter or digit.
//
// Differences from how the library would run the same tree: a word that is several tokens is a phrase;
// numbers and times are looked up in our own terms; a part that matches nothing matches nothing, while
// the library leaves it out of a conjunction; nothing is ranked, so that what is merely wished for
// beside something required has no effect.
func (c *compiler) compile(q query.Query) query.Query {
	switch q := q.(type) {
	case *query.BooleanQuery:
		return c.boolean(q)
	case *query.DisjunctionQuery:
		return c.anyOf(q.Disjuncts)
	case *query.MatchQuery:
		return words(fieldOf(q.FieldVal), q.Match, q.Fuzziness)
	case *query.MatchPhraseQuery:
		return words(fieldOf(q.FieldVal), q.MatchPhrase, 0)
	case *query.WildcardQuery:
		return c.wildcard(fieldOf(q.FieldVal), q.Wildcard)
	case *query.RegexpQuery:
		return c.pattern(fieldOf(q.FieldVal), strings.TrimPrefix(q.Regexp, "^"), q.Regexp)
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

func (c *compiler) boolean(q *query.BooleanQuery) query.Query {
	out := &boolean{}
	if must, ok := q.Must.(*query.ConjunctionQuery); ok && len(must.Conjuncts) > 0 {
		out.base = c.allOf(must.Conjuncts)
	} else if should, ok := q.Should.(*query.DisjunctionQuery); ok && len(should.Disjuncts) > 0 {
		out.base = c.anyOf(should.Disjuncts)
	} else {
		out.base = query.NewMatchAllQuery()
	}
	if out.base == nil {
		return nil
	}
	if not, ok := q.MustNot.(*query.DisjunctionQuery); ok {
		out.not = c.anyOf(not.Disjuncts)
	}
	if out.not == nil {
		return out.base
	}
	return out
}

// allOf requires every part; parts that are no words at all ask for nothing.
func (c *compiler) allOf(parts []query.Query) query.Query {
	var out []query.Query
	for _, part := range parts {
		if q := c.compile(part); q != nil {
			out = append(out, q)
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

func (c *compiler) anyOf(parts []query.Query) query.Query {
	var out []query.Query
	for _, part := range parts {
		if q := c.compile(part); q != nil {
			out = append(out, q)
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
func (c *compiler) wildcard(field, text string) query.Query {
	if strings.Trim(text, "*") == "" {
		if field == fieldAll {
			return query.NewMatchAllQuery()
		}
		return &present{field: field}
	}
	expr := text
	if !whole(field) {
		expr = strings.ToLower(expr)
	}
	expr = strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(expr))
	return c.pattern(field, expr, text)
}

// pattern asks for terms that a regular expression matches as a whole. It is compiled here to find its
// faults before any index is asked.
func (c *compiler) pattern(field, expr, spelled string) query.Query {
	if field == fieldID {
		expr = "(?:" + expr + ")\x00.*"
	}
	if _, err := vregexp.New(expr); err != nil && c.err == nil {
		c.err = &QueryError{Position: -1, Near: spelled, Reason: fmt.Sprintf("pattern %q: %v", spelled, err),
			Hint: "a pattern between slashes is a regular expression over one word in lower case, as in /time(out)?/"}
	}
	q := query.NewRegexpQuery(expr)
	q.SetField(field)
	return q
}
