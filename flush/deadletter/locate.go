package deadletter

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
)

// place is where a field stands in a document. Elasticsearch writes a.b for {"a":{"b":1}}, for {"a.b":1} and for
// {"a":[{"b":1}]}; a script has to know which.
type place struct {
	steps []hop // the last one's key is the field
	value any   // as encoding/json decodes it; nil when the document does not hold the field
	found bool
	// dotted says that the key goes on behind the field, as "n.x" does for n; value is then what the server makes of it, {"n.x":1}.
	dotted bool
}

// hop goes from an object to what is under a key, and with list on to each element of what is there.
type hop struct {
	key  string
	list bool
}

// plainPlace is where a field stands when nobody can look: objects within objects.
func plainPlace(field string) place {
	var p place
	for key := range strings.SplitSeq(field, ".") {
		p.steps = append(p.steps, hop{key: key})
	}
	return p
}

// locate finds a field in a document, and of several places the first one whose value is at fault.
func locate(doc any, field string, faulty func(any) bool) place {
	var all []place
	visit(doc, field, nil, &all)
	for _, p := range all {
		if faulty(p.value) {
			return p
		}
	}
	if len(all) > 0 {
		return all[0]
	}
	return plainPlace(field)
}

// Bounds of a search, against documents that are all lists or all dots.
const (
	maxPlaces   = 16
	maxElements = 100
)

// visit adds the places below v at which the rest of a field's path ends. A key that goes on behind it, as "n.x" does for the
// field n, counts as well: the server reads it as an object n.
func visit(v any, rest string, steps []hop, all *[]place) {
	if len(*all) >= maxPlaces {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			below := append(slices.Clone(steps), hop{key: key})
			switch {
			case key == rest:
				*all = append(*all, place{steps: below, value: v[key], found: true})
			case strings.HasPrefix(rest, key+"."):
				visit(v[key], rest[len(key)+1:], below, all)
			case strings.HasPrefix(key, rest+"."):
				*all = append(*all, place{steps: below, value: map[string]any{key: v[key]}, found: true, dotted: true})
			}
		}
	case []any:
		if len(steps) == 0 {
			return
		}
		below := slices.Clone(steps)
		below[len(below)-1].list = true
		for _, e := range v[:min(len(v), maxElements)] {
			visit(e, rest, below, all)
		}
	}
}

// locateName finds the first key that no server maps: empty, blank, or with nothing between dots.
func locateName(v any, steps []hop) (place, bool) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			below := append(slices.Clone(steps), hop{key: key})
			if badName(key) {
				return place{steps: below, value: v[key], found: true}, true
			}
			if p, ok := locateName(v[key], below); ok {
				return p, true
			}
		}
	case []any:
		if len(steps) == 0 {
			return place{}, false
		}
		below := slices.Clone(steps)
		below[len(below)-1].list = true
		for _, e := range v[:min(len(v), maxElements)] {
			if p, ok := locateName(e, below); ok {
				return p, true
			}
		}
	}
	return place{}, false
}

func badName(key string) bool {
	for part := range strings.SplitSeq(key, ".") {
		if strings.TrimFunc(part, unicode.IsSpace) == "" {
			return true
		}
	}
	return false
}

// Types of the mapping by what their values look like in JSON.
var (
	integerBits = map[string]int{"byte": 7, "short": 15, "integer": 31, "long": 63, "unsigned_long": 64}
	floatTypes  = []string{"double", "float", "half_float", "scaled_float"}
	textTypes   = []string{"text", "keyword", "match_only_text", "wildcard", "constant_keyword", "annotated_text", "search_as_you_type"}
)

func isNumeric(wanted string) bool {
	return integerBits[wanted] > 0 || slices.Contains(floatTypes, wanted)
}

// faultyFor returns a test for values that a field of the type does not take. It may say yes too often, never no: a place that is at
// fault must not be passed over.
func faultyFor(c Cause) func(any) bool {
	switch {
	case c.Wanted == "object":
		return func(v any) bool {
			return anyElement(v, func(e any) bool { _, ok := e.(map[string]any); return !ok && e != nil })
		}
	case isNumeric(c.Wanted):
		return func(v any) bool {
			return anyElement(v, func(e any) bool { return e != nil && !(isNumber(e) && len(text(e)) < 10) })
		}
	case slices.Contains(textTypes, c.Wanted), c.Kind == CauseTooLong:
		return func(v any) bool {
			return anyElement(v, func(e any) bool { _, object := e.(map[string]any); return object || len(text(e)) > maxTerm })
		}
	case c.Wanted == "date", c.Wanted == "date_nanos":
		return func(v any) bool {
			return anyElement(v, func(e any) bool { return e != nil && !isNumber(e) && !isTime(text(e)) })
		}
	case c.Kind == CauseObject:
		return func(v any) bool { _, object := v.(map[string]any); return object || anyElement(v, isObject) }
	}
	return func(any) bool { return true }
}

func anyElement(v any, test func(any) bool) bool {
	if list, ok := v.([]any); ok {
		return slices.ContainsFunc(list, func(e any) bool { return anyElement(e, test) })
	}
	return test(v)
}

func isObject(v any) bool { _, ok := v.(map[string]any); return ok }

// isNumber takes numbers and strings that hold one, as servers do.
func isNumber(v any) bool {
	switch v := v.(type) {
	case json.Number:
		return true
	case string:
		_, err := json.Number(v).Float64()
		return err == nil
	}
	return false
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

func isTime(s string) bool {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly, "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if _, err := time.Parse(layout, s); err == nil {
			return true
		}
	}
	return false
}

// decodeDocument reads an example for locate; nil when it cannot be read, or is not worth it.
func decodeDocument(b []byte) any {
	const most = 1 << 20
	if len(b) == 0 || len(b) > most {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil
	}
	return v
}
