package baseline

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestDisk_Run_WritesAndSyncsEachGroup(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	path := filepath.Join(t.TempDir(), "loop")
	group := []byte("some events")
	syncs := 0
	d := Disk{Group: group, Window: time.Hour, sync: func(f *os.File) error {
		syncs++
		if info, err := f.Stat(); err != nil || info.Size() != int64(syncs*len(group)) {
			t.Errorf("sync %d of a file of %d bytes (%v)", syncs, info.Size(), err)
		}
		if syncs == 7 {
			cancel()
		}
		return nil
	}}
	if _, err := d.Run(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("run: %v", err)
	}
	if file, err := os.ReadFile(path); err != nil || !bytes.Equal(file, bytes.Repeat(group, 7)) {
		t.Errorf("%d bytes on disk, %v", len(file), err)
	}
}

func TestDisk_Run_CountsTheWindow(t *testing.T) {
	d := Disk{Group: []byte("some events"), WarmUp: 10 * time.Millisecond, Window: 30 * time.Millisecond}
	r, err := d.Run(t.Context(), filepath.Join(t.TempDir(), "loop"))
	if err != nil {
		t.Fatal(err)
	}
	if r.Window != d.Window || r.Groups == 0 || r.Groups > r.All || r.Latency.TotalCount() != r.Groups || r.Latency.Max() > time.Minute.Nanoseconds() {
		t.Errorf("%+v", r)
	}
}

func TestDisk_Run_Fails(t *testing.T) {
	broken := errors.New("no disk")
	path := filepath.Join(t.TempDir(), "loop")
	d := Disk{Group: []byte("some events"), Window: time.Hour, sync: func(*os.File) error { return broken }}
	if _, err := d.Run(t.Context(), path); !errors.Is(err, broken) {
		t.Errorf("sync fails: %v", err)
	}
	if _, err := d.Run(t.Context(), path); !errors.Is(err, os.ErrExist) {
		t.Errorf("the file is there: %v", err)
	}
	for name, d := range map[string]Disk{"no bytes": {Window: time.Second}, "no window": {Group: []byte("x")}} {
		if _, err := d.Run(t.Context(), path); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
