package lua

import (
	"fmt"
	"strings"
	"time"

	"github.com/weirlog/weir/lua/stdlib"
	"github.com/weirlog/weir/wal"
)

// Report is what was found out about a changed version before it took over, and what became of it.
type Report struct {
	Version string    `json:"version"`
	Before  string    `json:"before"` // version that was in force
	At      time.Time `json:"at"`
	Result  string    `json:"result"`         // loaded, refused or rolled_back
	Why     string    `json:"why,omitempty"`  // unless loaded
	Lint    []string  `json:"lint,omitempty"` // what Lint finds, which refuses nothing; at most 20 and a line that counts the others
	Shadow  Shadow    `json:"shadow"`
}

// Class says how what a version makes of an event differs from what the version before makes of it.
type Class string

// The classes. An event on which both versions fail counts as the same.
const (
	ClassSame     Class = "same"
	ClassChanged  Class = "changed"  // other documents
	ClassDropped  Class = "dropped"  // dropped now, delivered before
	ClassFailed   Class = "failed"   // fails now, and did not before
	ClassMended   Class = "mended"   // failed before, and does not now
	ClassRestored Class = "restored" // dropped before, delivered now
)

// Shadow is the outcome of a run in the shadow.
type Shadow struct {
	Wanted   int       `json:"wanted"` // events that were asked for
	Events   int       `json:"events"` // events that were run
	Same     int       `json:"same"`
	Changed  int       `json:"changed"`
	Dropped  int       `json:"dropped"`
	Failed   int       `json:"failed"`
	Mended   int       `json:"mended"`
	Restored int       `json:"restored"`
	Examples []Example `json:"examples"` // of each class but the same, the oldest events first
	Seconds  float64   `json:"took_seconds"`
	Note     string    `json:"note,omitempty"` // why there are no events, or not all

	failedBefore int // events on which the version in force fails
}

// Example is an event that the two versions treat differently.
type Example struct {
	Class  Class      `json:"class"`
	Offset wal.Offset `json:"offset"`
	Stream string     `json:"stream"`
	Before Side       `json:"before"`
	After  Side       `json:"after"`
}

// Side is what one version makes of an event: documents, an error, or, where both are empty, nothing.
type Side struct {
	Documents string `json:"documents,omitempty"` // each with its settings on a line before it
	Error     string `json:"error,omitempty"`
}

const (
	maxFindings     = 20
	maxExamples     = 5 // of a class
	maxExampleBytes = 4 << 10
)

// findings are the first of what Lint finds. That it can read the script is known: it was compiled.
func findings(name string, source []byte) []string {
	found, err := Lint(name, source)
	if err != nil {
		return []string{err.Error()}
	}
	var lines []string
	for _, f := range found[:min(len(found), maxFindings)] {
		lines = append(lines, f.String())
	}
	if more := len(found) - maxFindings; more > 0 {
		lines = append(lines, fmt.Sprintf("%s: and %d more; weir lua lint shows all", name, more))
	}
	return lines
}

// count returns the counter of a class.
func (s *Shadow) count(c Class) *int {
	switch c {
	case ClassChanged:
		return &s.Changed
	case ClassDropped:
		return &s.Dropped
	case ClassFailed:
		return &s.Failed
	case ClassMended:
		return &s.Mended
	case ClassRestored:
		return &s.Restored
	}
	return &s.Same
}

// wants reports whether there is room for an example of a class, whose counter counts it already.
func (s *Shadow) wants(c Class) bool { return c != ClassSame && *s.count(c) <= maxExamples }

// attrs are the fields of a log line about the run.
func (s *Shadow) attrs() []any {
	attrs := []any{"shadow_events", s.Events, "same", s.Same, "changed", s.Changed, "dropped", s.Dropped, "failed", s.Failed}
	if s.Note != "" {
		attrs = append(attrs, "shadow_note", s.Note)
	}
	return attrs
}

// shadowError refuses a version that fails on too many events in the shadow.
type shadowError struct {
	version string
	text    string
}

func (e *shadowError) Error() string { return e.text }

// judge returns why a version must not take over, nil when it may.
func (s *Shadow) judge(version string, opts *Options) *shadowError {
	if opts.RollbackErrorRate <= 0 || s.Events < opts.RollbackMinEvents || share(float64(s.Failed), float64(s.Events)) <= opts.RollbackErrorRate {
		return nil
	}
	text := fmt.Sprintf("in the shadow %d of %d events fail that did not", s.Failed, s.Events)
	for _, e := range s.Examples {
		if e.Class == ClassFailed {
			text += ": " + e.After.Error
			break
		}
	}
	return &shadowError{version, text}
}

// side shows what a version made of an event.
func (a *attempt) side() Side {
	if a.err != nil {
		return Side{Error: cutExample(failureText(a.err))}
	}
	var b strings.Builder
	for i := range a.docs {
		d := &a.docs[i]
		b.WriteString(settingsLine(settings{d.Index, d.ID, d.Pipeline, d.Routing}))
		b.Write(d.Source[:min(len(d.Source), maxExampleBytes+1)])
		b.WriteByte('\n')
		if b.Len() > maxExampleBytes {
			break
		}
	}
	return Side{Documents: cutExample(strings.TrimSuffix(b.String(), "\n"))}
}

// settingsLine writes the settings that a document has on a line; "" where it has none.
func settingsLine(s settings) string {
	var set []string
	for _, name := range settingNames {
		if value := *s.field(name); value != "" {
			set = append(set, name+" "+value)
		}
	}
	if len(set) == 0 {
		return ""
	}
	return strings.Join(set, ", ") + "\n"
}

func cutExample(s string) string { return stdlib.Shorten(s, maxExampleBytes) }
