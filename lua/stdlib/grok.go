package stdlib

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Type is what the text of a grok field becomes.
type Type uint8

// Types of fields.
const (
	Text Type = iota
	Int
	Float
	Bool
)

var typeNames = map[string]Type{
	"": Text, "text": Text, "string": Text, "int": Int, "long": Int, "float": Float, "double": Float, "bool": Bool, "boolean": Bool,
}

// String is the name of the type in messages.
func (t Type) String() string { return [...]string{"text", "int", "float", "bool"}[t] }

// Field is a named part of a grok pattern.
type Field struct {
	Path []string // names from the outermost table on; at least one
	Type Type
}

// Name is the path with dots.
func (f *Field) Name() string { return strings.Join(f.Path, ".") }

// Grok is a compiled grok pattern.
type Grok struct {
	re *Regex
	// atBegin is the same pattern at the beginning of the text, where lines mostly match: what matches there
	// is what re would find, at a third of its price.
	atBegin *regexp.Regexp
	// Fields belong to the groups of the pattern, from the first on. A name may come more than once.
	Fields []Field
}

const (
	maxExpanded    = 64 << 10 // bytes of a grok pattern with all that it refers to
	maxReferences  = 32       // how deep patterns refer to each other
	maxGrokFields  = 200
	maxFieldDepth  = 16
	maxDefinitions = 64 << 10 // bytes of all definitions
)

// CompileGrok compiles a pattern with definitions of the caller's beside the usual ones, which they override.
// The error names the pattern or the field that is wrong.
func CompileGrok(pattern string, definitions map[string]string) (*Grok, error) {
	size := 0
	for name, d := range definitions {
		if size += len(name) + len(d); len(d) > MaxPattern || size > maxDefinitions {
			return nil, fmt.Errorf("the definitions are too long; one may have %d bytes, all of them %d", MaxPattern, maxDefinitions)
		}
	}
	if len(pattern) > MaxPattern {
		return nil, fmt.Errorf("a pattern may have %d bytes, not %d", MaxPattern, len(pattern))
	}
	x := &expander{definitions: definitions}
	if err := x.expand(strings.Clone(pattern)); err != nil {
		return nil, err
	}
	if err := conflict(x.fields); err != nil {
		return nil, err
	}
	re, err := compileRegex(x.out.String())
	if err != nil {
		return nil, err
	}
	if re.Groups() != len(x.fields) {
		return nil, fmt.Errorf("the pattern has %d groups, %d of them with names; group with (?:...)", re.Groups(), len(x.fields))
	}
	g := &Grok{re: re, Fields: x.fields}
	if g.atBegin, err = regexp.Compile(`\A(?:` + re.source + ")"); err != nil {
		return nil, patternError(err)
	}
	return g, nil
}

// GrokCost is how many bytes compiling a pattern allocates at most, beside what stays: see Weight.
func GrokCost(pattern string) int { return CompileCost(pattern) + 2*maxExpanded }

// Find returns the positions of the first match and its groups as Regex.Find does.
func (g *Grok) Find(text string, spend Spend) []int {
	if loc := find(g.atBegin, g.re.size+2, text, spend); loc != nil {
		return loc
	}
	return g.re.Find(text, spend)
}

// Weight is the size of the compiled pattern as Regex.Weight has it.
func (g *Grok) Weight() int { return 2 * g.re.weight }

// Each calls f for the fields that matched something, in the order of the pattern, until f returns false.
// groups is what Find returned.
func (g *Grok) Each(text string, groups []int, f func(field *Field, text string) bool) {
	for i := range g.Fields {
		from, to := groups[2*i+2], groups[2*i+3]
		if from < to && !f(&g.Fields[i], text[from:to]) {
			return
		}
	}
}

// conflict finds a name that would have to be a text and a table at a time.
func conflict(fields []Field) error {
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = strings.Join(fields[i].Path, "\x00") + "\x00"
	}
	slices.Sort(names)
	for i := 1; i < len(names); i++ {
		if names[i] != names[i-1] && strings.HasPrefix(names[i], names[i-1]) {
			show := func(s string) string { return strings.ReplaceAll(strings.TrimSuffix(s, "\x00"), "\x00", ".") }
			return fmt.Errorf("the field %s cannot be a text and the table of %s", show(names[i-1]), show(names[i]))
		}
	}
	return nil
}

// fieldPath reads a.b or [a][b].
func fieldPath(name string) ([]string, error) {
	var path []string
	if inner, ok := strings.CutPrefix(name, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			path = strings.Split(inner, "][")
		}
	} else {
		path = strings.Split(name, ".")
	}
	for _, p := range path {
		if p == "" || strings.ContainsAny(p, "[]{}<>?*|\\ \t\n") {
			path = nil
		}
	}
	if len(path) == 0 || len(path) > maxFieldDepth {
		return nil, fmt.Errorf("%q is no name of a field; say a.b or [a][b]", Excerpt(name))
	}
	return path, nil
}
