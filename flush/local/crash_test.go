package local

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/weirlog/weir/flush"
)

const (
	childEnv     = "WEIR_LOCAL_TEST_DIR"
	childModeEnv = "WEIR_LOCAL_TEST_MODE"
	crashBytes   = MinBytes
	crashBatch   = 40
)

// childMain is what the test binary does when it is started as a child.
func childMain(dir string) {
	s, err := Open(dir, Options{Logger: quiet, MaxBytes: crashBytes})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	if os.Getenv(childModeEnv) == "limit" {
		childLimit(s)
	}
	first, err := strconv.Atoi(os.Getenv(childModeEnv))
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var mu sync.Mutex // keeps lines whole
	for w := range 2 {
		go func() {
			for n := first + w*crashBatch; ; n += 2 * crashBatch {
				outcomes, err := s.Send(context.Background(), monolog(n, crashBatch))
				mu.Lock()
				if err != nil {
					fmt.Println("error", err)
				}
				for _, o := range outcomes {
					if o.Verdict != flush.Delivered {
						fmt.Println("error", n, o)
					}
				}
				fmt.Println("stored", n)
				mu.Unlock()
			}
		}()
	}
	select {}
}

// TestStore_Kill kills a process that stores at full speed, at random moments, and checks that everything
// it reported is there, once. K1, K4, K6.
func TestStore_Kill(t *testing.T) {
	dir := t.TempDir()
	var stored []int
	next := 0
	for range 5 {
		stored = append(stored, killedRun(t, dir, next, 3+rand.IntN(15))...)
		next = stored[len(stored)-1] + 100*crashBatch // far beyond what was underway
	}
	s := openStore(t, dir, func(o *Options) { o.MaxBytes = crashBytes })
	if st := s.Stats(); st.Damaged > 0 {
		t.Fatalf("kills damaged a part: %+v", st)
	}
	for _, n := range stored {
		docs := monolog(n, crashBatch)
		deliver(t, s, docs, flush.Duplicate)
		for _, i := range []int{0, crashBatch - 1} {
			hit, ok, err := s.Get(t.Context(), docs[i].Index, docs[i].ID)
			if err != nil || !ok || string(hit.Source) != string(docs[i].Source) {
				t.Fatalf("document %s: %v, %v, %s", docs[i].ID, ok, err, hit.Source)
			}
		}
		if got := total(t, s, "_id:"+docs[3].ID); got != 1 {
			t.Fatalf("document %s is there %d times", docs[3].ID, got)
		}
	}
	t.Logf("%d batches reported over 5 kills, all there", len(stored))
}

// killedRun starts a child, reads so many reports and kills it. It returns what was reported.
func killedRun(t *testing.T, dir string, first, reports int) []int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir, childModeEnv+"="+strconv.Itoa(first))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var stored []int
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var n int
		if _, err := fmt.Sscanf(lines.Text(), "stored %d", &n); err != nil {
			t.Errorf("child says: %s", lines.Text())
			continue
		}
		stored = append(stored, n)
		if len(stored) == reports {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = cmd.Wait() // killed
	if len(stored) < reports {
		t.Fatalf("child ended after %d of %d reports", len(stored), reports)
	}
	return stored
}

// childLimit lets writes fail in the middle of a file, then succeed again, and reports what Send said.
func childLimit(s *Store) {
	signal.Ignore(syscall.SIGXFSZ)
	var old syscall.Rlimit
	fail := func(format string, args ...any) {
		fmt.Printf("error "+format+"\n", args...)
		os.Exit(1)
	}
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		fail("%v", err)
	}
	outcomes, err := s.Send(context.Background(), monolog(0, 100))
	if err != nil || outcomes[0].Verdict != flush.Delivered {
		fail("before: %v %v", outcomes, err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 20 << 10, Max: old.Max}); err != nil {
		fail("%v", err)
	}
	for range 3 {
		if outcomes, err = s.Send(context.Background(), monolog(100, 500)); err == nil {
			fail("a write beyond the limit succeeded: %v", outcomes[0])
		}
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		fail("%v", err)
	}
	outcomes, err = s.Send(context.Background(), monolog(0, 600))
	if err != nil {
		fail("after: %v", err)
	}
	for i, o := range outcomes {
		want := flush.Delivered // nothing that failed may be called a duplicate
		if i < 100 {
			want = flush.Duplicate
		}
		if o.Verdict != want {
			fail("after: document %d is %v, want %v", i, o, want)
		}
	}
	fmt.Println("done")
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		fail("%v", err)
	}
}

// TestStore_WriteFails lets real writes fail half way. K2.
func TestStore_WriteFails(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir, childModeEnv+"=limit")
	out, _ := cmd.Output() // ends by its own kill
	if text := strings.TrimSpace(string(out)); text != "done" {
		t.Fatalf("child says: %s", text)
	}
	s := openStore(t, dir, func(o *Options) { o.MaxBytes = crashBytes })
	deliver(t, s, monolog(0, 600), flush.Duplicate)
	if st := s.Stats(); st.Damaged != 0 || st.Documents != 600 {
		t.Errorf("stats %+v", st)
	}
}
