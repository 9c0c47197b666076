package flushtest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// SinkFixture is a sink with an empty destination that only the test at hand uses.
type SinkFixture struct {
	Sink flush.Sink
	// Source returns the document stored under index and id, and whether there is one.
	Source func(t *testing.T, index, id string) (source []byte, found bool)
	// Count returns how many documents are stored.
	Count func(t *testing.T) int
	// Index is the name of an index that takes any document. Default (""): logs-contract.
	Index string
	// Choosy says that the destination refuses some valid JSON (duplicate keys, numbers out of
	// range), so that such a document may be Permanent instead of stored.
	Choosy bool
}

// RunSink checks what flush.Sink promises. open is called once for each part.
func RunSink(t *testing.T, open func(t *testing.T) SinkFixture) {
	parts := []struct {
		name string
		run  func(*sinkSuite)
	}{
		{"names itself", (*sinkSuite).named},
		{"an empty batch is nothing", (*sinkSuite).empty},
		{"outcomes stand in the order of the documents", (*sinkSuite).order},
		{"a second create finds the first", (*sinkSuite).duplicate},
		{"one id twice in a batch is stored once", (*sinkSuite).twiceInBatch},
		{"one id in two indices is two documents", (*sinkSuite).twoIndices},
		{"sources arrive byte for byte", (*sinkSuite).bytesKept},
		{"line breaks between tokens may become spaces", (*sinkSuite).lineBreaks},
		{"sources are neither changed nor kept", (*sinkSuite).borrowed},
		{"odd ids", (*sinkSuite).oddIDs},
		{"a batch of thousands", (*sinkSuite).large},
		{"several batches at once", (*sinkSuite).concurrent},
		{"a cancelled send can be repeated", (*sinkSuite).cancelled},
		{"a send cancelled underway can be repeated", (*sinkSuite).cancelledUnderway},
	}
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) {
			f := open(t)
			if f.Index == "" {
				f.Index = "logs-contract"
			}
			part.run(&sinkSuite{T: t, SinkFixture: f})
		})
	}
}

type sinkSuite struct {
	*testing.T
	SinkFixture
}

// doc returns a document of the suite's index with an id made from n.
func (s *sinkSuite) doc(n int, source string) flush.Document {
	key := flush.Key{Epoch: 0xc0ffee, Offset: wal.Offset(n)}
	return flush.Document{
		Key:        key,
		Of:         1,
		Stream:     "default",
		ReceivedAt: time.Unix(1700000000, 0).UTC(),
		Index:      s.Index,
		ID:         key.ID(),
		Source:     []byte(source),
	}
}

// docs returns documents from to to, both included.
func (s *sinkSuite) docs(from, to int) []flush.Document {
	var docs []flush.Document
	for n := from; n <= to; n++ {
		docs = append(docs, s.doc(n, fmt.Sprintf(`{"@timestamp":"2026-01-02T03:04:05Z","n":%d,"message":"event %d"}`, n, n)))
	}
	return docs
}

// send sends and returns the verdicts.
func (s *sinkSuite) send(docs []flush.Document) []flush.Verdict {
	s.Helper()
	outcomes, err := s.Sink.Send(s.Context(), docs)
	if err != nil {
		s.Fatalf("send %d documents: %v", len(docs), err)
	}
	if len(outcomes) != len(docs) {
		s.Fatalf("%d outcomes for %d documents", len(outcomes), len(docs))
	}
	verdicts := make([]flush.Verdict, len(outcomes))
	for i := range outcomes {
		verdicts[i] = outcomes[i].Verdict
	}
	return verdicts
}

// wantVerdicts sends docs and compares.
func (s *sinkSuite) wantVerdicts(docs []flush.Document, want ...flush.Verdict) {
	s.Helper()
	if got := s.send(docs); !slices.Equal(got, want) {
		s.Fatalf("verdicts are %v, want %v", got, want)
	}
}

func (s *sinkSuite) wantStored(d flush.Document, want string) {
	s.Helper()
	got, found := s.Source(s.T, d.Index, d.ID)
	if !found {
		s.Errorf("document %q is not stored in %s", d.ID, d.Index)
	} else if string(got) != want {
		s.Errorf("document %q is stored as\n%s\nwant\n%s", d.ID, got, want)
	}
}

func (s *sinkSuite) wantCount(want int) {
	s.Helper()
	if got := s.Count(s.T); got != want {
		s.Errorf("%d documents are stored, want %d", got, want)
	}
}

func (s *sinkSuite) named() {
	if s.Sink.Name() == "" {
		s.Error("the sink has no name")
	}
}

func (s *sinkSuite) empty() {
	s.wantVerdicts(nil)
	s.wantVerdicts([]flush.Document{})
	s.wantCount(0)
}

func (s *sinkSuite) order() {
	s.send(s.docs(1, 9))
	var docs []flush.Document
	var want []flush.Verdict
	for n := range 9 { // old and new in turn
		docs = append(docs, s.docs(n+1, n+1)[0], s.docs(n+10, n+10)[0])
		want = append(want, flush.Duplicate, flush.Delivered)
	}
	s.wantVerdicts(docs, want...)
	s.wantCount(18)
}

func (s *sinkSuite) duplicate() {
	first, second := s.doc(1, `{"a":"first"}`), s.doc(1, `{"a":"second"}`)
	s.wantVerdicts([]flush.Document{first}, flush.Delivered)
	s.wantVerdicts([]flush.Document{first}, flush.Duplicate)
	s.wantVerdicts([]flush.Document{second}, flush.Duplicate)
	s.wantStored(first, `{"a":"first"}`)
	s.wantCount(1)
}

func (s *sinkSuite) twiceInBatch() {
	docs := []flush.Document{s.doc(1, `{"a":"first"}`), s.doc(2, `{"a":"other"}`), s.doc(1, `{"a":"second"}`)}
	s.wantVerdicts(docs, flush.Delivered, flush.Delivered, flush.Duplicate)
	s.wantStored(docs[0], `{"a":"first"}`)
	s.wantCount(2)
}

func (s *sinkSuite) twoIndices() {
	here, there := s.doc(1, `{"a":"here"}`), s.doc(1, `{"a":"there"}`)
	there.Index += "-2"
	s.wantVerdicts([]flush.Document{here, there}, flush.Delivered, flush.Delivered)
	s.wantStored(here, `{"a":"here"}`)
	s.wantStored(there, `{"a":"there"}`)
	s.wantCount(2)
}

func (s *sinkSuite) bytesKept() {
	for n, source := range []string{
		`{}`,
		`{"b":1,"a":2}`,
		`{"f":1.0,"g":1.00e+2}`,
		`{"i":9223372036854775807}`,
		`{"u":18446744073709551616}`,
		`{"e":1e400}`,
		`{"k":1,"k":2}`,
		`{"empty":{},"list":[]}`,
		`{"null":null,"t":true,"f":false}`,
		`{"esc":"\u00e9\/\b\f\n\r\t\"\\"}`,
		`{"raw":"é 漢字 🦊"}`,
		`{"space" : [ 1 , 2 ] ,	"tab":	1 }`,
		`{"html":"<a href='x'>&</a>"}`,
		`{"sep":"` + "\u2028\u2029" + `"}`,
		`{"long":"` + strings.Repeat("x", 100_000) + `"}`,
	} {
		d := s.doc(n+1, source)
		switch v := s.send([]flush.Document{d})[0]; {
		case v == flush.Delivered:
			s.wantStored(d, source)
		case v == flush.Permanent && s.Choosy:
			s.Logf("refused: %.60s", source)
		default:
			s.Errorf("%.60s is %s", source, v)
		}
	}
}

func (s *sinkSuite) lineBreaks() {
	source := "{\n  \"a\":\r\n 1,\r\"b\":\t[\n]\n}\r\n"
	d, next := s.doc(1, source), s.doc(2, `{"a":2}`)
	s.wantVerdicts([]flush.Document{d, next}, flush.Delivered, flush.Delivered)
	got, _ := s.Source(s.T, d.Index, d.ID)
	spaces := strings.NewReplacer("\r", " ", "\n", " ")
	if want := strings.TrimSpace(spaces.Replace(source)); strings.TrimSpace(spaces.Replace(string(got))) != want {
		s.Errorf("stored as %q, want %q with or without its line breaks", got, want)
	}
	s.wantStored(next, `{"a":2}`)
	if string(d.Source) != source {
		s.Errorf("the source was changed to %q", d.Source)
	}
}

func (s *sinkSuite) borrowed() {
	docs := s.docs(1, 100)
	before := make([]string, len(docs))
	for i := range docs {
		before[i] = string(docs[i].Source)
	}
	s.send(docs)
	for i := range docs {
		if string(docs[i].Source) != before[i] {
			s.Fatalf("source %d was changed to %q", i, docs[i].Source)
		}
		copy(docs[i].Source, bytes.Repeat([]byte{'#'}, len(docs[i].Source))) // the batch's memory is used again
	}
	for i := range docs {
		s.wantStored(docs[i], before[i])
	}
}

func (s *sinkSuite) oddIDs() {
	ids := []string{
		"a b", `quote"d`, `back\slash`, "slash/and?query&x=%20", "é漢🦊", "tab\there", "-", "{}", "new\nline",
		strings.Repeat("i", 512),
	}
	docs := make([]flush.Document, len(ids))
	for i, id := range ids {
		docs[i] = s.doc(i+1, fmt.Sprintf(`{"n":%d}`, i))
		docs[i].ID = id
	}
	s.wantVerdicts(docs, slices.Repeat([]flush.Verdict{flush.Delivered}, len(docs))...)
	s.wantVerdicts(docs, slices.Repeat([]flush.Verdict{flush.Duplicate}, len(docs))...)
	s.wantCount(len(docs))
	for i := range docs {
		s.wantStored(docs[i], fmt.Sprintf(`{"n":%d}`, i))
	}
}

func (s *sinkSuite) large() {
	const n = 5000
	docs := s.docs(1, n)
	s.wantVerdicts(docs, slices.Repeat([]flush.Verdict{flush.Delivered}, n)...)
	s.wantCount(n)
	for _, i := range []int{0, 1, n / 2, n - 1} {
		s.wantStored(docs[i], string(docs[i].Source))
	}
}

// concurrent sends overlapping batches at once: each document is delivered to exactly one of them.
func (s *sinkSuite) concurrent() {
	const senders, width, step = 8, 200, 100
	var mu sync.Mutex
	delivered := make(map[string]int)
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			docs := s.docs(1+i*step, i*step+width)
			outcomes, err := s.Sink.Send(s.Context(), docs)
			if err != nil || len(outcomes) != len(docs) {
				s.Errorf("sender %d: %d outcomes for %d documents, %v", i, len(outcomes), len(docs), err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for n, o := range outcomes {
				if o.Verdict == flush.Delivered {
					delivered[docs[n].ID]++
				} else if o.Verdict != flush.Duplicate {
					s.Errorf("document %s is %+v", docs[n].ID, o)
				}
			}
		})
	}
	wg.Wait()
	const distinct = (senders-1)*step + width
	if len(delivered) != distinct {
		s.Errorf("%d documents were delivered, want %d", len(delivered), distinct)
	}
	for id, n := range delivered {
		if n != 1 {
			s.Errorf("document %s was delivered %d times", id, n)
		}
	}
	s.wantCount(distinct)
}

func (s *sinkSuite) cancelled() {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	docs := s.docs(1, 50)
	if outcomes, err := s.Sink.Send(ctx, docs); err == nil && len(outcomes) != len(docs) {
		s.Errorf("%d outcomes for %d documents and no error", len(outcomes), len(docs))
	}
	s.wantAllStored(docs)
}

func (s *sinkSuite) cancelledUnderway() {
	docs := s.docs(1, 2000)
	for range 5 {
		ctx, cancel := context.WithCancel(s.Context())
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			if outcomes, err := s.Sink.Send(ctx, docs); err == nil && len(outcomes) != len(docs) {
				s.Errorf("%d outcomes for %d documents and no error", len(outcomes), len(docs))
			}
		}()
		cancel()
		<-sent
	}
	s.wantAllStored(docs)
}

// wantAllStored sends docs once more and checks that each of them is stored once.
func (s *sinkSuite) wantAllStored(docs []flush.Document) {
	s.Helper()
	for i, v := range s.send(docs) {
		if v != flush.Delivered && v != flush.Duplicate {
			s.Errorf("document %d is %s", i, v)
		}
	}
	s.wantCount(len(docs))
	for i := range docs {
		s.wantStored(docs[i], string(docs[i].Source))
	}
}
