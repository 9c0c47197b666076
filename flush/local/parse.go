package local

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/blevesearch/bleve/v2/search/query"
)

// MaxQueryBytes bounds the text of a query.
const MaxQueryBytes = 8 << 10

// parse reads a query in the library's query-string syntax. Nothing, and a lone star, ask for everything.
// Errors are *QueryError.
func parse(text string) (query.Query, error) {
	if len(text) > MaxQueryBytes {
		return nil, &QueryError{Position: -1, Reason: fmt.Sprintf("text is longer than %d bytes", MaxQueryBytes)}
	}
	trimmed := strings.TrimSpace(text)
	if trimmed == "" || trimmed == "*" {
		return query.NewMatchAllQuery(), nil
	}
	tree, err := parseSyntax(text)
	if err != nil {
		return nil, locate(text, err)
	}
	var c compiler
	q := c.compile(tree)
	if c.err != nil {
		return nil, c.err
	}
	if q == nil {
		return nil, &QueryError{Position: -1, Reason: "there is no letter or digit in it to look for",
			Hint: "signs alone are not indexed: write a word, a number or field:*"}
	}
	return q, nil
}

// parseSyntax calls the library, which reports faults by panics in some versions and places.
func parseSyntax(text string) (q query.Query, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	q, err = query.NewQueryStringQuery(text).Parse()
	if err != nil {
		return nil, err
	}
	if v, ok := q.(query.ValidatableQuery); ok {
		if err := v.Validate(); err != nil {
			return nil, err
		}
	}
	return q, nil
}

// clause is a piece of a query between spaces.
type clause struct {
	text string
	at   int
	open bool // its quote is not closed
}

// clauses cuts a query at the spaces outside quotes, as the library's lexer does.
func clauses(text string) []clause {
	var out []clause
	start, quoted, escaped := -1, false, false
	for i, r := range text {
		switch {
		case escaped:
			escaped = false
		case r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		case unicode.IsSpace(r) && !quoted:
			if start >= 0 {
				out = append(out, clause{text: text[start:i], at: start})
			}
			start = -1
			continue
		}
		if start < 0 {
			start = i
		}
	}
	if start >= 0 {
		out = append(out, clause{text: text[start:], at: start, open: quoted})
	}
	return out
}

// locate says where in a query that did not parse the fault is. The library says what, but not where.
func locate(text string, cause error) *QueryError {
	for _, c := range clauses(text) {
		_, err := parseSyntax(c.text)
		if err == nil && !c.open {
			continue
		}
		reason, hint := explain(c, err)
		return &QueryError{
			Position: utf8.RuneCountInString(text[:c.at]), Near: c.text, Reason: reason, Hint: hint,
		}
	}
	reason, hint := explain(clause{text: text}, cause)
	return &QueryError{Position: -1, Reason: reason, Hint: hint}
}

const hintShape = `write word, "some words", field:word, field:>=400, field:>="2026-01-31T12:00:00Z"; + requires, - excludes, \ escapes a sign`

// explain puts into words what is wrong with a clause.
func explain(c clause, cause error) (reason, hint string) {
	bare := strings.TrimLeft(c.text, "+-")
	field, rest, hasField := strings.Cut(bare, ":")
	bound := strings.TrimLeft(rest, "<>=")
	switch {
	case c.open:
		return "a quote is opened and not closed", `put a " at its end, or write \" for a quote that is meant`
	case bare == "":
		return "there is nothing after the sign", "write the word right behind it, as in +timeout, or escape the sign with a backslash"
	case hasField && field == "":
		return "there is no field before the colon", `write field:word, or \: for a colon that is meant`
	case hasField && rest == "":
		return "there is no value after the colon", "write field:word, or field:* for any value"
	case hasField && bound != rest && bound == "":
		return "there is no value after the comparison", `write a number, as in level:>=400, or a time in quotes, as in @timestamp:>="2026-01-31T12:00:00Z"`
	case hasField && bound != rest && strings.Contains(errorText(cause), "time"):
		return bound + " is no time", `write it like "2026-01-31" or "2026-01-31T12:00:00Z"`
	case hasField && bound != rest:
		return bound + " is no number", `write a number, as in level:>=400, or a time in quotes, as in @timestamp:>="2026-01-31T12:00:00Z"`
	case strings.Contains(bare, "~"):
		return "what follows ~ is no number of letters", "write word~1 or word~2"
	case strings.Contains(bare, "^"):
		return "what follows ^ is no number", "leave it out: found events are in order of time"
	case hasField:
		return "this is not field:value", `put a value that holds signs in quotes, as in url:"http://host/", or escape them with a backslash`
	}
	return "this cannot be read", hintShape
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
