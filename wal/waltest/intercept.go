package waltest

import (
	"github.com/weirlog/weir/wal"
	"github.com/weirlog/weir/wal/internal/seam"
)

// Op is something that a log asks of its disk, or that the disk has just done.
type Op = seam.Op

// The operations of a log, in the order in which a commit that fills a segment has them.
const (
	OpOpen      = seam.Open
	OpWrite     = seam.Write
	OpWritten   = seam.Written
	OpSyncDir   = seam.SyncDir
	OpSyncedDir = seam.SyncedDir
	OpSync      = seam.Sync
	OpSynced    = seam.Synced
	OpUnlink    = seam.Unlink
)

// Intercept returns opts for a log whose disk asks hook before and after each operation, with the segment's or the
// directory's path: an error becomes the operation's, and a hook that waits holds the log up. frameBytes is where a
// frame ends, so that small groups have several; 0 for a mebibyte, as always.
func Intercept(opts wal.Options, frameBytes int, hook func(op Op, path string) error) wal.Options {
	opts.Intercept(seam.Seam{Hook: hook, FrameBytes: frameBytes})
	return opts
}
