package wal

import (
	"log/slog"
	"time"

	twal "github.com/tidwall/wal"
)

// Options of a Log. The zero value of every field means its default.
type Options struct {
	// SegmentBytes is the size at which a segment is full. Default 4 MiB; the library keeps the active
	// one in memory, so that about ten times this size is the log's share of the process's memory.
	SegmentBytes int64
	// MaxBytes bounds the log on disk; an append that would pass it is refused with ErrFull. 0: no bound.
	MaxBytes int64
	// MinFreeBytes is the free space of the file system below which appends are refused with ErrFull.
	// 0: not looked at.
	MinFreeBytes int64
	// RepairDir receives copies of damaged and cut bytes. Default: "repair" beside the log's directory.
	RepairDir string
	// KnownEnd is the highest offset that is known to have been durable; 0 when nothing is known. A log that ends
	// before it has lost its end, which is damage like any other: its readers report the offsets that are
	// missing. The log goes on behind them, under a new epoch.
	KnownEnd Offset
	// FreshEpoch begins a new epoch with every opening, so that offsets which are given out twice because
	// the directory was restored from a copy, or lost its last segment, still never name two records.
	FreshEpoch bool
	// OnAside, which may be nil, hears of everything that Open or a Reader of the log sets aside; of damage each time that it
	// is met. Readers call it from their own goroutines.
	OnAside func(Aside)
	// Logger is told of repairs, failures and damage. Default: discards.
	Logger *slog.Logger
	// Metrics may be nil.
	Metrics *Metrics

	// library opens the entry log below. Tests put one here that fails on demand.
	library func(dir string, segmentBytes int64) (library, error)
	// renewAfter is how many segments a library's log makes before it is replaced by a fresh one: it keeps
	// 136 bytes for each segment that it ever made. Tests make it small.
	renewAfter int
	// syncDir fsyncs a directory. Tests replace it likewise.
	syncDir func(dir string) error
	// askFileSystem looks whether the file system lives on after an fsync that said yes. Tests replace it likewise.
	askFileSystem func(dir string) error
	// remove unlinks a segment. Tests replace it likewise.
	remove func(path string) error
	// zeros reports whether the active segment gets zeros ahead of its frames. Tests replace it likewise.
	zeros func(dir string) bool
	// frameBytes is where the committer ends a frame and a group. Tests make it small.
	frameBytes int
}

const (
	defaultSegmentBytes = 4 << 20
	// frameBytes is where the committer ends a frame and a group by default: large enough that one fsync serves
	// many appends, small enough that its memory does not count.
	frameBytes        = 1 << 20
	defaultRenewAfter = 100_000
	// failureBackoff is the pause between attempts to reopen a failed log: it doubles from the first
	// to the second.
	failureBackoffMin = 20 * time.Millisecond
	failureBackoffMax = 2 * time.Second
)

// library is what the log uses of tidwall/wal: the writing half.
type library interface {
	Write(index uint64, data []byte) error
	Sync() error
	Close() error
}

var _ library = (*twal.Log)(nil)

// openLibrary opens tidwall/wal on a directory whose last segment is empty, so that it has nothing to
// parse. The options are made anew each time because the library writes into them.
func openLibrary(dir string, segmentBytes int64) (library, error) {
	log, err := twal.Open(dir, &twal.Options{
		NoSync:           true, // the committer syncs, once for each group
		SegmentSize:      int(segmentBytes),
		SegmentCacheSize: 1,
		NoCopy:           true,
		AllowEmpty:       true,
		DirPerms:         0o750,
		FilePerms:        0o640,
	})
	if err != nil {
		return nil, err
	}
	return &recycler{Log: log}, nil
}
