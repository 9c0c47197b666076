package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testOrigin = Origin{Stream: "default", Remote: netip.MustParseAddr("192.0.2.7"), ReceivedAt: time.Unix(1700000000, 123456789).UTC()}

// life is a log whose committer runs.
type life struct {
	*Log
	t    testing.TB
	stop func() error
}

func startLog(t testing.TB, dir string, opts Options) *life {
	t.Helper()
	l, err := Open(dir, opts)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return runLog(t, l)
}

func runLog(t testing.TB, l *Log) *life {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	stopped := false
	lf := &life{Log: l, t: t}
	lf.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if err := lf.stop(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return lf
}

func (l *life) mustAppend(payloads ...string) Offset {
	l.t.Helper()
	first, err := l.tryAppend(payloads...)
	if err != nil {
		l.t.Fatalf("append: %v", err)
	}
	return first
}

func (l *life) tryAppend(payloads ...string) (Offset, error) {
	events := make([]Event, len(payloads))
	for i, p := range payloads {
		events[i].Payload = []byte(p)
	}
	return l.Append(context.Background(), testOrigin, events)
}

// readable is what a Reader of a test reads from.
type readable interface {
	NewReader(Offset) *Reader
	Status() Status
}

// read returns the records of src from offset from on; payloads are copied.
func read(t testing.TB, src readable, from Offset) []Record {
	t.Helper()
	r := src.NewReader(from)
	defer r.Close()
	var recs []Record
	for durable := src.Status().DurableOffset; r.Position() <= durable; {
		rec, err := r.Next(context.Background())
		if errors.Is(err, ErrClosed) {
			break
		}
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		rec.Payload = bytes.Clone(rec.Payload)
		recs = append(recs, rec)
	}
	return recs
}

// wantPayloads checks that recs are the given payloads at offsets 1, 2, ...
func wantPayloads(t testing.TB, recs []Record, want []string) {
	t.Helper()
	if len(recs) != len(want) {
		t.Fatalf("%d records, want %d", len(recs), len(want))
	}
	for i := range recs {
		if recs[i].Flags&FlagDamaged != 0 {
			t.Fatalf("record %d is damaged: %v", i, recs[i].Damage)
		}
		if recs[i].Offset != Offset(i+1) || string(recs[i].Payload) != want[i] {
			t.Fatalf("record %d: offset %d payload %q, want offset %d payload %q", i, recs[i].Offset, recs[i].Payload, i+1, want[i])
		}
	}
}

// textLogger writes what a log says to w.
func textLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func payloads(n, size int) []string {
	p := make([]string, n)
	for i := range p {
		p[i] = fmt.Sprintf(`{"n":%d,"pad":%q}`, i, bytes.Repeat([]byte{'a' + byte(i%26)}, size))
	}
	return p
}

// copyDir copies the files of a directory, without its subdirectories.
func copyDir(t testing.TB, src, dst string) {
	t.Helper()
	if err := os.MkdirAll(dst, 0o750); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(src)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(src, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dst, e.Name()), b, 0o640); err != nil {
			t.Fatal(err)
		}
	}
}
