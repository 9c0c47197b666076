package baseline

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bodies reads back what Bare wrote.
func bodies(t *testing.T, file []byte) []string {
	t.Helper()
	var all []string
	for len(file) > 0 {
		n := binary.LittleEndian.Uint32(file)
		body := file[headBytes : headBytes+n]
		if crc := binary.LittleEndian.Uint32(file[4:]); crc != crc32.Checksum(body, castagnoli) {
			t.Fatalf("checksum of %q", body)
		}
		all = append(all, string(body))
		file = file[headBytes+n:]
	}
	return all
}

func TestBare_Append_IsOnDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	b, err := OpenBare(path)
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 8, 25
	var want []string
	var wg sync.WaitGroup
	for w := range writers {
		for i := range each {
			want = append(want, fmt.Sprintf("writer %d, body %d", w, i))
		}
		wg.Go(func() {
			for i := range each {
				body := fmt.Appendf(nil, "writer %d, body %d", w, i)
				if err := b.Append(body); err != nil {
					t.Errorf("append: %v", err)
				}
				if file, err := os.ReadFile(path); err != nil || !bytes.Contains(file, body) {
					t.Errorf("%q is not in the file after Append (%v)", body, err)
				}
			}
		})
	}
	wg.Wait()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := bodies(t, file)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d bodies on disk, want %d", len(got), len(want))
	}
	if err := b.Append([]byte("late")); !errors.Is(err, errClosed) {
		t.Errorf("append after Close: %v", err)
	}
}

func TestBare_Append_SharesOneSync(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	syncing, release := make(chan struct{}), make(chan struct{})
	syncs := 0
	b := newBare(file, func(*os.File) error {
		syncs++
		if syncs == 1 {
			close(syncing)
			<-release
		}
		return nil
	})
	go b.run()
	var wg sync.WaitGroup
	wg.Go(func() { b.Append([]byte("first")) }) //nolint:errcheck // only the syncs count here
	<-syncing
	for range 10 {
		wg.Go(func() { b.Append([]byte("company")) }) //nolint:errcheck // as above
	}
	waiting := func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.queue.bytes)
	}
	for waiting() < 10*(headBytes+len("company")) {
		runtime.Gosched()
	}
	close(release)
	wg.Wait()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if syncs != 2 {
		t.Errorf("%d syncs for a group of one and a group of ten", syncs)
	}
}

func TestBare_Handler_SyncFails(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	b := newBare(file, func(*os.File) error { return errors.New("no disk") })
	go b.run()
	var ctx fasthttp.RequestCtx
	ctx.Request.SetBodyString("{}")
	b.Handler([]byte(`{"accepted":1}`))(&ctx)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if ctx.Response.StatusCode() != 503 || bytes.Contains(ctx.Response.Body(), []byte("accepted")) {
		t.Errorf("answered %d %s", ctx.Response.StatusCode(), ctx.Response.Body())
	}
}

func TestNoop_AnswersAsAsked(t *testing.T) {
	var ctx fasthttp.RequestCtx
	ctx.Request.SetBodyString("{}")
	Noop([]byte(`{"accepted":7}`))(&ctx)
	if ctx.Response.StatusCode() != 202 || string(ctx.Response.Body()) != `{"accepted":7}` {
		t.Errorf("answered %d %s", ctx.Response.StatusCode(), ctx.Response.Body())
	}
}
