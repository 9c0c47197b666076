package lua

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/rawjson"
	"github.com/weirlog/weir/lua/stdlib"
)

// expectation is what a case wants to become of its event.
type expectation struct {
	documents [][]byte // nil: one or more, whatever they are
	texts     bool     // all documents are given as text
	exact     bool     // the bytes must be those of documents
	settings  []expectedSetting
	dropped   bool
	failure   string // part of "type: message"
}

// expectedSetting is what index, id, pipeline or routing of the documents shall be.
type expectedSetting struct {
	name   string
	values []string // "" where the script must not set it
	list   bool     // one for each document, not one for all
}

// fault says why nothing can be held against the expectation.
func (x *expectation) fault() error {
	made := x.documents != nil || len(x.settings) > 0
	switch {
	case x.dropped && (made || x.failure != "") || made && x.failure != "":
		return errors.New("dropped, error, and what a document shall be do not go together: one event has one result")
	case !made && !x.dropped && x.failure == "":
		return errors.New("the case does not say what shall become of the event: want, index, id, pipeline, routing, dropped or error")
	case x.exact && (x.documents == nil || !x.texts):
		return errors.New("exact needs want as JSON text: bytes are compared")
	}
	return nil
}

// caseWant reads the wanted documents: one, or a list.
func (w *worker) caseWant(c *tableCase, v glua.LValue) error {
	c.want.texts = true
	add := func(v glua.LValue) error {
		doc, err := w.caseObject(v)
		_, text := v.(glua.LString)
		c.want.texts = c.want.texts && text
		c.want.documents = append(c.want.documents, doc)
		return err
	}
	table, ok := v.(*glua.LTable)
	if !ok || table.Metatable != w.listMT && table.RawGetInt(1) == glua.LNil {
		return add(v)
	}
	for i := 1; i <= table.Len(); i++ {
		if err := add(table.RawGetInt(i)); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	if len(c.want.documents) == 0 {
		return errors.New("the list is empty; say dropped = true")
	}
	return nil
}

// caseSetting reads what a setting shall be: a string, false where it shall not be set, or a list of these.
func caseSetting(name string) func(*worker, *tableCase, glua.LValue) error {
	return func(w *worker, c *tableCase, v glua.LValue) error {
		s := expectedSetting{name: name}
		values := []glua.LValue{v}
		if table, ok := v.(*glua.LTable); ok {
			s.list, values = true, nil
			for i := 1; i <= table.Len(); i++ {
				values = append(values, table.RawGetInt(i))
			}
		}
		for _, v := range values {
			text := ""
			if v != glua.LFalse {
				var err error
				if text, err = w.caseText(v); err != nil {
					return fmt.Errorf("%w; false means that it is not set", err)
				}
			}
			s.values = append(s.values, text)
		}
		c.want.settings = append(c.want.settings, s)
		return nil
	}
}

// judge compares what became of the event with the expectation.
func (x *expectation) judge(docs []flush.Document, failure *flush.TransformError) verdict {
	switch {
	case x.failure != "":
		return x.judgeFailure(docs, failure)
	case failure != nil:
		return verdict{message: "the event failed: " + failureLine(failure)}
	case x.dropped && len(docs) > 0:
		return verdict{message: "the event was not dropped: " + countedDocuments(len(docs)), got: sourceLines(docs)}
	case x.dropped:
		return verdict{}
	case len(docs) == 0:
		return verdict{message: "the event was dropped"}
	case x.documents != nil && len(docs) != len(x.documents):
		return verdict{message: fmt.Sprintf("%s, want %d", countedDocuments(len(docs)), len(x.documents)), got: sourceLines(docs)}
	}
	for i := range docs {
		if v := x.judgeDocument(docs, i); v.message != "" {
			v.message = numbered(v.message, i, len(docs))
			return v
		}
	}
	return verdict{}
}

func (x *expectation) judgeFailure(docs []flush.Document, failure *flush.TransformError) verdict {
	if failure == nil {
		return verdict{message: fmt.Sprintf("the event did not fail: %s; want an error that says %q", countedDocuments(len(docs)), x.failure), got: sourceLines(docs)}
	}
	if got := failureLine(failure); !strings.Contains(got, x.failure) {
		return verdict{message: fmt.Sprintf("the event failed otherwise: %s; want an error that says %q", got, x.failure)}
	}
	return verdict{}
}

func (x *expectation) judgeDocument(docs []flush.Document, i int) verdict {
	for j := range x.settings {
		if message := x.settings[j].differs(docs, i); message != "" {
			return verdict{message: message}
		}
	}
	if x.documents == nil {
		return verdict{}
	}
	return compareDocuments(docs[i].Source, x.documents[i], x.exact)
}

// differs says how a setting of document i is not as wanted. meta.id numbers further documents, so one wanted
// id does that too.
func (s *expectedSetting) differs(docs []flush.Document, i int) string {
	if s.list && len(s.values) != len(docs) {
		return fmt.Sprintf("%s is a list of %d for %s", s.name, len(s.values), countedDocuments(len(docs)))
	}
	want := s.values[0]
	switch {
	case s.list:
		want = s.values[i]
	case s.name == "id" && want != "" && i > 0:
		want += "-" + strconv.Itoa(i)
	}
	return settingDiffers(s.name, settingOf(&docs[i], s.name), want)
}

func settingOf(doc *flush.Document, name string) string {
	return map[string]string{"index": doc.Index, "id": doc.ID, "pipeline": doc.Pipeline, "routing": doc.Routing}[name]
}

func settingDiffers(name, got, want string) string {
	if got == want {
		return ""
	}
	say := func(s string) string {
		if s == "" {
			return "not set"
		}
		return strconv.Quote(s)
	}
	return fmt.Sprintf("%s is %s, want %s", name, say(got), say(want))
}

// compareDocuments compares by value, or byte by byte.
func compareDocuments(got, want []byte, exact bool) verdict {
	if bytes.Equal(got, want) {
		return verdict{}
	}
	if message := difference("", got, want); message != "" {
		return verdict{message: message, want: aligned(want, got), got: aligned(got, want)}
	}
	if !exact {
		return verdict{}
	}
	n := 0
	for n < len(got) && n < len(want) && got[n] == want[n] {
		n++
	}
	return verdict{message: fmt.Sprintf("the same value in other bytes, from byte %d on: %s, want %s", n, excerpt(got[n:]), excerpt(want[n:])),
		want: string(want), got: string(got)}
}

func countedDocuments(n int) string {
	switch n {
	case 0:
		return "it was dropped"
	case 1:
		return "1 document"
	}
	return fmt.Sprintf("%d documents", n)
}

func numbered(message string, i, of int) string {
	if of == 1 {
		return message
	}
	return fmt.Sprintf("document %d of %d: %s", i+1, of, message)
}

func failureLine(f *flush.TransformError) string { return f.Type + ": " + f.Message }

// sourceLines shows documents below each other.
func sourceLines(docs []flush.Document) string {
	parts := make([]string, len(docs))
	for i := range docs {
		parts[i] = aligned(docs[i].Source, nil)
	}
	return strings.Join(parts, "\n")
}

// excerpt shows the beginning of JSON text in messages.
func excerpt(raw []byte) string {
	const most = 80 // bytes
	return stdlib.Shorten(string(rawjson.Trim(raw)), most)
}
