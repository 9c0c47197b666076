package wal

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/weirlog/weir/wal/internal/seam"
)

// Intercept puts a test between the disk and the logs opened with these options. Only package waltest can make the argument.
func (o *Options) Intercept(s seam.Seam) {
	o.frameBytes = s.FrameBytes
	o.library = func(dir string, segmentBytes int64) (library, error) {
		if err := s.Hook(seam.Open, dir); err != nil {
			return nil, err
		}
		lib, err := openLibrary(dir, segmentBytes)
		if err != nil {
			return nil, err
		}
		segs, err := listSegments(dir, "")
		if err != nil {
			return nil, errors.Join(err, lib.Close())
		}
		return &interceptedLibrary{library: lib, hook: s.Hook, dir: dir, active: segs[len(segs)-1].seq}, nil
	}
	o.syncDir = func(dir string) error {
		return between(s.Hook, seam.SyncDir, seam.SyncedDir, dir, func() error { return syncDir(dir) })
	}
	o.remove = func(path string) error {
		if err := s.Hook(seam.Unlink, path); err != nil {
			return err
		}
		return os.Remove(path)
	}
}

// between does something between two calls of the hook.
func between(hook func(seam.Op, string) error, before, after seam.Op, path string, do func() error) error {
	if err := hook(before, path); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return hook(after, path)
}

// interceptedLibrary calls the hook around what the library does.
type interceptedLibrary struct {
	library
	hook   func(seam.Op, string) error
	dir    string
	active uint64 // sequence of the segment that is written
}

var _ library = (*interceptedLibrary)(nil)

func (l *interceptedLibrary) path(seq uint64) string { return filepath.Join(l.dir, segmentName(seq)) }

func (l *interceptedLibrary) Write(index uint64, data []byte) error {
	path := l.path(l.active)
	return between(l.hook, seam.Write, seam.Written, path, func() error {
		err := l.library.Write(index, data)
		if _, serr := os.Stat(l.path(index + 1)); serr == nil {
			l.active = index + 1
		}
		return err
	})
}

func (l *interceptedLibrary) Sync() error {
	return between(l.hook, seam.Sync, seam.Synced, l.path(l.active), l.library.Sync)
}
