package baseline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Disk is a plain loop that writes the same bytes again and again to the end of a file: one write and one fdatasync each
// time. No server, no waiting for company: what the disk takes.
type Disk struct {
	Group  []byte        // what each write carries
	WarmUp time.Duration // before the window
	Window time.Duration // what is measured

	sync func(*os.File) error // nil: fdatasync; another in tests
}

// DiskResult is what a loop came to.
type DiskResult struct {
	Groups  int64 // synced within the window
	All     int64 // synced from beginning to end
	Window  time.Duration
	Latency *hdrhistogram.Histogram // of a write and its fdatasync within the window, in nanoseconds
}

// Run creates the file at path, which must not exist, and loops until the window or ctx ends.
func (d Disk) Run(ctx context.Context, path string) (_ *DiskResult, err error) {
	if len(d.Group) == 0 || d.Window <= 0 {
		return nil, errors.New("a loop needs bytes to write and a window")
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create file: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if d.sync == nil {
		d.sync = Datasync
	}
	return d.loop(ctx, file)
}

func (d Disk) loop(ctx context.Context, file *os.File) (*DiskResult, error) {
	r := &DiskResult{Latency: hdrhistogram.New(1, time.Minute.Nanoseconds(), 3)}
	from := time.Now().Add(d.WarmUp)
	to := from.Add(d.Window)
	for begun := time.Now(); begun.Before(to) && ctx.Err() == nil; {
		if _, err := file.Write(d.Group); err != nil {
			return nil, fmt.Errorf("write: %w", err)
		}
		if err := d.sync(file); err != nil {
			return nil, fmt.Errorf("sync: %w", err)
		}
		now := time.Now()
		r.All++
		if !now.Before(from) && now.Before(to) {
			r.Groups++
			r.Latency.RecordValue(min(now.Sub(begun).Nanoseconds(), time.Minute.Nanoseconds())) //nolint:errcheck // it is within the bounds
		}
		begun = now
	}
	r.Window = d.Window
	return r, context.Cause(ctx)
}
