package cutfs

import (
	"strings"
	"syscall"
)

// Fault makes operations fail.
type Fault struct {
	// Kind, if not 0, and Path, a part of the path below the mount, choose the operations that it is about.
	Kind Kind
	Path string
	// Skip lets so many of them pass first; Times fails so many (0: one, -1: all).
	Skip, Times int
	// Err is what the process is told.
	Err syscall.Errno
	// Short, of a Write, writes half of the bytes. With Err 0 that is what the process is told; otherwise it is told
	// Err, and the bytes are there all the same.
	Short bool
}

// Failures lists the ways in which an operation of a kind can fail, one Fault each that fails it once.
func Failures(k Kind) []Fault {
	var fs []Fault
	add := func(errs ...syscall.Errno) {
		for _, err := range errs {
			fs = append(fs, Fault{Err: err})
		}
	}
	switch k {
	case Write:
		add(syscall.EIO, syscall.ENOSPC, syscall.EDQUOT)
		fs = append(fs, Fault{Short: true}, Fault{Short: true, Err: syscall.ENOSPC})
	case Create, Mkdir:
		add(syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE)
	case Truncate, Allocate, Rename, Link, SyncFile, SyncDir:
		add(syscall.EIO, syscall.ENOSPC, syscall.EDQUOT)
	case Open, List:
		add(syscall.EIO, syscall.EMFILE)
	case Unlink, Rmdir, Read, Stat, StatFS:
		add(syscall.EIO)
	}
	return fs
}

// plan is a fault and what it has done.
type plan struct {
	Fault
	seen int
}

// hits reports whether the fault is about this operation, and counts.
func (p *plan) hits(k Kind, path string) bool {
	if p.Kind != 0 && p.Kind != k || !strings.Contains(path, p.Path) {
		return false
	}
	n := p.seen - p.Skip
	p.seen++
	return n >= 0 && (p.Times < 0 || n < max(p.Times, 1))
}
