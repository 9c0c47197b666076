package lua

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/weirlog/weir/flush"
)

// goldenTests makes a test of each golden event beside the script, if there are any.
func (s *Script) goldenTests() []scriptTest {
	if s.golden == "" {
		return nil
	}
	events, err := ReadGolden(s.golden)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return []scriptTest{{kind: KindGolden, name: filepath.Base(s.golden), run: failing("%s", err)}}
	}
	tests := make([]scriptTest, len(events))
	for i := range events {
		e := &events[i]
		tests[i] = scriptTest{kind: KindGolden, name: e.title(), line: e.Line, run: func() (verdict, error) {
			got, err := s.Golden(e)
			return e.Want.compare(&got), err
		}}
	}
	return tests
}

func (e *GoldenEvent) title() string {
	switch {
	case e.Name != "":
		return "golden event " + e.Name
	case e.From != "":
		return "golden event of " + e.From
	}
	return fmt.Sprintf("golden event in line %d", e.Line)
}

// Golden returns what the script makes of an event now, as a golden event wants it. The sources may be the
// event's own bytes. The error is not the script's failure on the event, which is a result like any other.
func (s *Script) Golden(e *GoldenEvent) (GoldenResult, error) {
	event := newTestEvent()
	event.quiet = true
	rec := &event.record
	rec.Offset, rec.Stream, rec.ReceivedAt, rec.Remote, rec.Payload = e.Offset, e.Stream, e.ReceivedAt, e.Remote, e.Event
	docs, failure, err := s.transformed(&event)
	if err != nil {
		return GoldenResult{}, err
	}
	return s.goldenResult(docs, failure), nil
}

func (s *Script) goldenResult(docs []flush.Document, failure *flush.TransformError) GoldenResult {
	if failure != nil {
		e := &GoldenError{Type: failure.Type, whole: failure.Message}
		if failure.Type != typeTimeout && failure.Type != typeMemory {
			e.Message = s.withoutLine(failure.Message)
		}
		return GoldenResult{Error: e}
	}
	r := GoldenResult{Dropped: len(docs) == 0}
	for i := range docs {
		d := &docs[i]
		r.Documents = append(r.Documents, GoldenDocument{Index: d.Index, ID: d.ID, Pipeline: d.Pipeline, Routing: d.Routing, Source: d.Source})
	}
	return r
}

// withoutLine takes file and line off the begin of a message.
func (s *Script) withoutLine(message string) string {
	rest, ok := strings.CutPrefix(message, s.prog.name+":")
	if !ok {
		return message
	}
	line, rest, ok := strings.Cut(rest, ": ")
	if !ok || strings.Trim(line, "0123456789") != "" {
		return message
	}
	return rest
}

// Equal reports whether two results are the same, byte for byte.
func (r *GoldenResult) Equal(other *GoldenResult) bool { return r.compare(other).message == "" }

// String says in a few words what became of the event; of a failure just now also file and line.
func (r *GoldenResult) String() string {
	if r.Error == nil {
		return countedDocuments(len(r.Documents))
	}
	text := "it failed: " + r.Error.Type
	if message := cmp.Or(r.Error.whole, r.Error.Message); message != "" {
		text += ": " + message
	}
	return text
}

// same reports whether two failures are the same one, wherever in the script they stand.
func (e *GoldenError) same(other *GoldenError) bool {
	return e.Type == other.Type && e.Message == other.Message
}

// compare says how what a script makes of the event differs from what is wanted.
func (r *GoldenResult) compare(got *GoldenResult) verdict {
	switch {
	case r.Error != nil && got.Error != nil && r.Error.same(got.Error):
		return verdict{}
	case r.Error != nil || got.Error != nil || len(r.Documents) != len(got.Documents):
		return verdict{message: fmt.Sprintf("%s, want: %s", got, r), want: r.lines(), got: got.lines()}
	}
	for i := range r.Documents {
		if v := r.Documents[i].compare(&got.Documents[i]); v.message != "" {
			v.message = numbered(v.message, i, len(r.Documents))
			return v
		}
	}
	return verdict{}
}

// lines shows the documents below each other.
func (r *GoldenResult) lines() string {
	var parts []string
	for _, source := range r.sources() {
		parts = append(parts, aligned(source, nil))
	}
	return strings.Join(parts, "\n")
}

func (d *GoldenDocument) compare(got *GoldenDocument) verdict {
	for _, s := range [][3]string{
		{"index", got.Index, d.Index}, {"id", got.ID, d.ID}, {"pipeline", got.Pipeline, d.Pipeline}, {"routing", got.Routing, d.Routing},
	} {
		if message := settingDiffers(s[0], s[1], s[2]); message != "" {
			return verdict{message: message}
		}
	}
	return compareDocuments(got.Source, d.Source, true)
}
