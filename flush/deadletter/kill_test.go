package deadletter

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/checkpoint"
	"github.com/weirlog/weir/wal"
)

// childDir names the data directory of a child process, which is this test binary run as a store that works until it is killed.
const childDir = "WEIR_DEADLETTER_CHILD"

// fileSink creates a file for every document, as a destination that survives the child.
type fileSink struct{ dir string }

func (s fileSink) Name() string { return s.dir }

func (s fileSink) Send(_ context.Context, docs []flush.Document) ([]flush.Outcome, error) {
	out := make([]flush.Outcome, len(docs))
	for i := range docs {
		f, err := os.OpenFile(filepath.Join(s.dir, docs[i].ID), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if os.IsExist(err) {
			out[i] = flush.Outcome{Verdict: flush.Duplicate, Status: 409}
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
		out[i] = flush.Outcome{Verdict: flush.Delivered, Status: 201}
	}
	return out, nil
}

// runChild puts letters of two documents each, beginning behind those of the child before, tells of each put that returned,
// and replays all the while.
func runChild(dir string) error {
	db, err := checkpoint.Open(filepath.Join(dir, "weir.db"), checkpoint.Options{})
	if err != nil {
		return err
	}
	opts := small()
	opts.SegmentBytes = 4 << 10
	s, err := Open(filepath.Join(dir, "dead"), db, opts)
	if err != nil {
		return err
	}
	ctx := context.Background()
	failed := make(chan error, 3)
	go func() { failed <- s.Run(ctx) }()
	go func() {
		r := &Replayer{Store: s, Validate: validate, Streams: map[string]Stream{
			"default": {Transformer: splitter{splitLines}, Prepare: prepare, Sink: fileSink{filepath.Join(dir, "sink")}}}}
		for {
			summary, err := r.Replay(ctx, Request{Rate: 2000, Patch: patchFunc(func(event string) ([]flush.Document, error) { return texts(event) })}, nil)
			if err != nil {
				failed <- err
				return
			}
			if summary.Total > 0 {
				fmt.Printf("replayed %d\n", summary.Delivered)
			}
		}
	}()
	go func() {
		var first wal.Offset = 1
		if _, err := fmt.Sscan(os.Getenv(childDir+"_FIRST"), &first); err != nil {
			failed <- err
			return
		}
		for n := first; ; n += 3 {
			letters := []flush.Letter{}
			for i := range wal.Offset(3) {
				letters = append(letters, staged(n+i, flush.StageTransform, fmt.Sprintf("%d\n%d", n+i, n+i)))
			}
			if err := s.Put(ctx, letters); err != nil {
				failed <- err
				return
			}
			fmt.Printf("put %d\n", n+2)
		}
	}()
	return <-failed
}

// TestStore_KilledWhilePuttingAndReplaying kills a real process: every letter whose put returned is live, or at the destination with
// both its documents, and nothing is there that was never put.
func TestStore_KilledWhilePuttingAndReplaying_LosesAndDoublesNothing(t *testing.T) {
	kills := 6
	if testing.Short() {
		kills = 2
	}
	rnd := seeded(t)
	h := newHome(t, small())
	sink := filepath.Join(h.dir, "sink")
	if err := os.Mkdir(sink, 0o700); err != nil {
		t.Fatal(err)
	}
	var acked []wal.Offset
	next := wal.Offset(1)
	for k := range kills {
		h.close()
		last := childUntilKilled(t, h.dir, next, rnd.IntN(120))
		for ; next <= last; next++ {
			acked = append(acked, next)
		}
		next += 3 // what was under way when it was killed may have been put
		h.open()
		live := map[wal.Offset]bool{}
		for _, o := range h.offsets() {
			if live[o] || o >= next {
				t.Fatalf("kill %d: letter %d is there twice, or was never put", k, o)
			}
			live[o] = true
		}
		sent := sentDocuments(t, sink)
		for _, o := range acked {
			if !live[o] && sent[o] != 2 {
				t.Fatalf("kill %d: letter %d is not live, and %d of its documents are delivered", k, o, sent[o])
			}
		}
	}
	r := &Replayer{Store: h.Store, Validate: validate, Streams: map[string]Stream{
		"default": {Transformer: splitter{splitLines}, Prepare: prepare, Sink: fileSink{sink}}}}
	if s, err := r.Replay(t.Context(), Request{}, nil); err != nil || s.Failed+s.Skipped > 0 || h.Len() != 0 {
		t.Fatal(s, err)
	}
	for o, n := range sentDocuments(t, sink) {
		if n != 2 {
			t.Fatalf("%d documents of letter %d", n, o)
		}
	}
	t.Logf("%d kills, %d letters acknowledged", kills, len(acked))
}

// childUntilKilled runs a child, kills it after some lines of its output, and returns the last letter whose put had returned.
func childUntilKilled(t *testing.T, dir string, first wal.Offset, lines int) wal.Offset {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childDir+"="+dir, fmt.Sprintf("%s_FIRST=%d", childDir, first))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acked := first - 1
	scan := bufio.NewScanner(out)
	for n := 0; scan.Scan(); n++ { // to the end: what it had said before it died counts
		if n == lines {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		var last wal.Offset
		if _, err := fmt.Sscanf(scan.Text(), "put %d", &last); err == nil {
			acked = last
		}
	}
	if err := cmd.Wait(); err == nil || stderr.Len() > 0 {
		t.Fatalf("child ended by itself: %s", stderr.String())
	}
	return acked
}

func sentDocuments(t *testing.T, dir string) map[wal.Offset]int {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	sent := map[wal.Offset]int{}
	for _, f := range files {
		k, err := flush.ParseKey(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		sent[k.Offset]++
	}
	return sent
}
