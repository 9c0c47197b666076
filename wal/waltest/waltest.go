// Package waltest helps the tests of packages that use a log.
package waltest

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirlog/weir/wal"
)

// Open starts a log in a directory below t.TempDir with its committer running. When the test ends, the
// log is closed and every record in it is verified.
func Open(t testing.TB, opts wal.Options) *wal.Log {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "wal")
	l, stop := OpenAt(t, dir, opts)
	t.Cleanup(func() {
		stop()
		Verify(t, dir)
	})
	return l
}

// OpenAt starts a log in dir and returns it with the function that closes it, which may be called twice.
func OpenAt(t testing.TB, dir string, opts wal.Options) (*wal.Log, func()) {
	t.Helper()
	l, err := wal.Open(dir, opts)
	if err != nil {
		t.Fatalf("open log: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	stopped := false
	return l, func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("close log: %v", err)
		}
	}
}

// Verify fails the test unless every record of the closed log in dir is sound.
func Verify(t testing.TB, dir string) {
	t.Helper()
	s, err := wal.OpenSnapshot(dir)
	if err != nil {
		t.Errorf("verify log: %v", err)
		return
	}
	rep, err := s.Verify(context.Background(), nil)
	if err != nil {
		t.Errorf("verify log: %v", err)
	}
	for _, d := range rep.Damage {
		t.Errorf("verify log: %v", d)
	}
}

// Append puts payloads into the log as one append and returns the first offset.
func Append(t testing.TB, l *wal.Log, stream string, payloads ...string) wal.Offset {
	t.Helper()
	events := make([]wal.Event, len(payloads))
	for i, p := range payloads {
		events[i].Payload = []byte(p)
	}
	origin := wal.Origin{Stream: stream, Remote: netip.MustParseAddr("192.0.2.7"), ReceivedAt: time.Unix(1700000000, 123456789)}
	first, err := l.Append(context.Background(), origin, events)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return first
}

// ReadAll returns copies of the records from offset from (0: the oldest) to the durable one.
func ReadAll(t testing.TB, l *wal.Log, from wal.Offset) []wal.Record {
	t.Helper()
	return drain(t, l.NewReader(from), l.DurableOffset())
}

// ReadDir returns copies of all records of a closed log.
func ReadDir(t testing.TB, dir string) []wal.Record {
	t.Helper()
	s, err := wal.OpenSnapshot(dir)
	if err != nil {
		t.Fatalf("open snapshot: %v", err)
	}
	return drain(t, s.NewReader(0), s.Status().DurableOffset)
}

func drain(t testing.TB, r *wal.Reader, durable wal.Offset) []wal.Record {
	t.Helper()
	defer r.Close()
	var recs []wal.Record
	for r.Position() <= durable {
		rec, err := r.Next(context.Background())
		if errors.Is(err, wal.ErrClosed) {
			break
		}
		if err != nil {
			t.Fatalf("read log: %v", err)
		}
		rec.Payload = append([]byte(nil), rec.Payload...)
		recs = append(recs, rec)
	}
	return recs
}
