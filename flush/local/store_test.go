package local

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/flushtest"
	"github.com/weirlog/weir/wal"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		childMain(dir)
		return
	}
	// Every goroutine of the library ends with Close: it is used below its package bleve, whose import
	// alone starts some that never end.
	goleak.VerifyTestMain(m)
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// openStore opens a store that is closed with the test.
func openStore(t testing.TB, dir string, change ...func(*Options)) *Store {
	t.Helper()
	opts := Options{Logger: quiet}
	for _, f := range change {
		f(&opts)
	}
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

var day = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

// event returns document n; its receive time is n milliseconds after day.
func event(n int, source string) flush.Document {
	key := flush.Key{Epoch: 0x0123456789abcdef, Offset: wal.Offset(n + 1)}
	return flush.Document{
		Key: key, Of: 1, Stream: "default", Index: "logs-weir-default", ID: key.ID(),
		ReceivedAt: day.Add(time.Duration(n) * time.Millisecond), Source: []byte(source),
	}
}

// monolog returns n events in Monolog's shape, from number first on.
func monolog(first, n int) []flush.Document {
	docs := make([]flush.Document, n)
	for i := range docs {
		k := first + i
		docs[i] = event(k, fmt.Sprintf(`{"message":"request %d to /api/v%d/users took %d ms, upstream node%d.example.org:80%02d answered",`+
			`"context":{"pid":%d,"duration":%d.5,"request_id":"r%08x"},"level":%d,"level_name":"L%d","channel":"ch%d",`+
			`"datetime":"%s","extra":{"line":%d}}`,
			k, k%3, k%977, k%13, k%7, 1000+k%50, k%1013, uint32(k)*2654435761, 100*(1+k%4), k%4, k%5,
			day.Add(time.Duration(k)*time.Millisecond).Format(time.RFC3339Nano), k))
	}
	return docs
}

// deliver sends docs and fails the test unless every verdict is want.
func deliver(t testing.TB, s *Store, docs []flush.Document, want flush.Verdict) {
	t.Helper()
	outcomes, err := s.Send(t.Context(), docs)
	if err != nil {
		t.Fatal(err)
	}
	if len(outcomes) != len(docs) {
		t.Fatalf("%d outcomes for %d documents", len(outcomes), len(docs))
	}
	for i, o := range outcomes {
		if o.Verdict != want {
			t.Fatalf("document %d of %d (%s) is %v (%s: %s), want %v", i, len(docs), docs[i].ID, o.Verdict, o.Type, o.Reason, want)
		}
	}
}

func total(t testing.TB, s *Store, text string) int {
	t.Helper()
	res, err := s.Search(t.Context(), Query{Text: text, Limit: -1})
	if err != nil {
		t.Fatalf("search %s: %v", text, err)
	}
	return int(res.Total)
}

func TestStore_Contract(t *testing.T) {
	flushtest.RunSink(t, func(t *testing.T) flushtest.SinkFixture {
		s := openStore(t, t.TempDir())
		return flushtest.SinkFixture{
			Sink: s,
			Source: func(t *testing.T, index, id string) ([]byte, bool) {
				hit, ok, err := s.Get(t.Context(), index, id)
				if err != nil {
					t.Fatal(err)
				}
				return hit.Source, ok
			},
			Count: func(t *testing.T) int { return total(t, s, "*") },
		}
	})
}

func TestStore_Reopen(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	docs := monolog(0, 3000)
	deliver(t, s, docs, flush.Delivered)
	before := s.Stats()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir)
	changed := event(7, `{"message":"another text"}`)
	deliver(t, s, []flush.Document{changed}, flush.Duplicate)
	deliver(t, s, docs, flush.Duplicate)
	hit, ok, err := s.Get(t.Context(), changed.Index, changed.ID)
	if err != nil || !ok || !bytes.Equal(hit.Source, docs[7].Source) {
		t.Errorf("stored is %q, %v, %v; want %q", hit.Source, ok, err, docs[7].Source)
	}
	after := s.Stats()
	if after.Documents != 3000 || after.Oldest != before.Oldest || after.Newest != before.Newest {
		t.Errorf("after reopening: %+v, before: %+v", after, before)
	}
}

func TestStore_Send_ManyAtOnce(t *testing.T) {
	s := openStore(t, t.TempDir())
	const senders, each = 8, 400
	docs := monolog(0, each)
	delivered := make([]int, senders)
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			outcomes, err := s.Send(t.Context(), docs) // all send the same documents
			if err != nil {
				t.Error(err)
			}
			for _, o := range outcomes {
				switch o.Verdict {
				case flush.Delivered:
					delivered[i]++
				case flush.Duplicate:
				default:
					t.Errorf("outcome %+v", o)
				}
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range delivered {
		sum += n
	}
	if got := total(t, s, "*"); sum != each || got != each {
		t.Errorf("%d delivered, %d stored; want %d", sum, got, each)
	}
}

func TestStore_Closed(t *testing.T) {
	s := openStore(t, t.TempDir())
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Send(t.Context(), monolog(0, 1))
	var req *flush.RequestError
	if !errors.As(err, &req) || !errors.Is(err, ErrClosed) || req.Cause != "closed" {
		t.Errorf("Send: %v", err)
	}
	if _, err := s.Search(t.Context(), Query{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Search: %v", err)
	}
	if _, _, err := s.Get(t.Context(), "i", "d"); !errors.Is(err, ErrClosed) {
		t.Errorf("Get: %v", err)
	}
}

func TestStore_Open_Refuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir, Options{MaxBytes: 1 << 20}); !errors.Is(err, ErrTooSmall) {
		t.Errorf("too small: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, formatFile), []byte("weir store 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(dir, Options{})
	if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), formatFile) {
		t.Errorf("newer format: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, Options{}); err == nil {
		t.Error("a file was opened as a store")
	}
}

func TestStore_Send_Refuses(t *testing.T) {
	s := openStore(t, t.TempDir())
	docs := monolog(0, 9)
	docs[1].Source = []byte(`[1]`)
	docs[2].Source = nil
	docs[3].Source = []byte(`{"a":1`)
	docs[4].Source = []byte(`{"a":1} x`)
	docs[5].ID = strings.Repeat("x", maxIDBytes+1)
	docs[6].ID = "a\x00b"
	docs[7].Index = "a\x00b"
	outcomes, err := s.Send(t.Context(), docs)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range outcomes {
		want := flush.Permanent
		if i == 0 || i == 8 {
			want = flush.Delivered
		}
		if o.Verdict != want || want == flush.Permanent && (o.Type == "" || o.Reason == "" || o.Status != 400) {
			t.Errorf("document %d: %+v, want %v", i, o, want)
		}
	}
	if got := total(t, s, "*"); got != 2 {
		t.Errorf("%d stored, want 2", got)
	}
}

func TestStore_Metrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := openStore(t, t.TempDir(), func(o *Options) { o.Metrics = NewMetrics(reg) })
	deliver(t, s, monolog(0, 10), flush.Delivered)
	deliver(t, s, monolog(0, 10), flush.Duplicate)
	if got := testutil.ToFloat64(s.metrics.documents); got != 10 {
		t.Errorf("weir_local_documents is %v, want 10", got)
	}
	for _, verdict := range []string{"delivered", "duplicate"} {
		if got := testutil.ToFloat64(s.metrics.stored.WithLabelValues(verdict)); got != 10 {
			t.Errorf("%s is %v, want 10", verdict, got)
		}
	}
	if n, err := testutil.GatherAndCount(reg); err != nil || n < 8 {
		t.Errorf("%d metrics, %v", n, err)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}
