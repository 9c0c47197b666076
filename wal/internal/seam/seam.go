// Package seam is the place between a log and its disk where tests stand. It is internal, so that nothing outside of wal
// can put itself there but by way of package waltest.
package seam

// Op is something that a log asks of its disk, or that the disk has just done.
type Op uint8

const (
	Open      Op = iota // the library is about to open the active segment
	Write               // a frame is about to be written to the active segment
	Written             // it was written, and the next segment made if it filled this one
	Sync                // the active segment is about to be fsynced
	Synced              // it was
	SyncDir             // the directory is about to be fsynced
	SyncedDir           // it was
	Unlink              // a segment is about to be unlinked
)

func (o Op) String() string {
	return [...]string{"open", "write", "written", "sync", "synced", "syncdir", "synceddir", "unlink"}[o]
}

// Seam is what a test puts there.
type Seam struct {
	// Hook is called for each operation on path, a segment or the directory, by the goroutine that does it. Its error
	// becomes the operation's.
	Hook func(op Op, path string) error
	// FrameBytes is where a frame ends, instead of at a mebibyte.
	FrameBytes int
}
