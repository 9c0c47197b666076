package wal

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
)

// BenchmarkAppend measures acknowledged appends: size is the payload of one event, events how many an
// append holds, writers how many appenders wait at a time.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{320, 1024} {
		for _, events := range []int{1, 100} {
			for _, writers := range []int{1, 64} {
				b.Run(fmt.Sprintf("size=%d/events=%d/writers=%d/sync=on", size, events, writers), func(b *testing.B) {
					l, err := Open(filepath.Join(b.TempDir(), "wal"), Options{})
					if err != nil {
						b.Fatal(err)
					}
					lf := runLog(b, l)
					evs := make([]Event, events)
					for i := range evs {
						evs[i].Payload = bytes.Repeat([]byte{'x'}, size)
					}
					b.SetBytes(int64(size * events))
					b.SetParallelism(max(1, writers/2))
					b.ReportAllocs()
					b.ResetTimer()
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							if _, err := lf.Append(context.Background(), testOrigin, evs); err != nil {
								b.Error(err)
								return
							}
						}
					})
					b.StopTimer()
					b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
					if _, err := lf.Reclaim(lf.DurableOffset()); err != nil {
						b.Fatal(err)
					}
				})
			}
		}
	}
}

// BenchmarkRead measures a reader over sealed segments in the page cache.
func BenchmarkRead(b *testing.B) {
	l := startLog(b, filepath.Join(b.TempDir(), "wal"), Options{})
	evs := make([]Event, 1000)
	for i := range evs {
		evs[i].Payload = bytes.Repeat([]byte{'x'}, 320)
	}
	const n = 200_000
	for range n / len(evs) {
		if _, err := l.Append(context.Background(), testOrigin, evs); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(320)
	b.ReportAllocs()
	b.ResetTimer()
	r := l.NewReader(0)
	for i := range b.N {
		if i%n == 0 {
			r.Close()
			r = l.NewReader(0)
		}
		if _, err := r.Next(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	r.Close()
}

// BenchmarkCommitExtras measures what a commit does besides its write and its fsync: the question to the file system, and the
// durable mark.
func BenchmarkCommitExtras(b *testing.B) {
	dir := b.TempDir()
	m := openMark(dir, slog.New(slog.DiscardHandler))
	defer m.close()
	b.Run("ask", func(b *testing.B) {
		for b.Loop() {
			if err := askFileSystem(dir); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("mark", func(b *testing.B) {
		for i := Offset(0); b.Loop(); i++ {
			m.set(i)
		}
	})
}
