package wal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Reclaim removes whole segments whose records all lie at or below upTo, which the caller knows to be
// settled durably, oldest first, and returns how many. It needs no free space. The active segment stays,
// and so does the one before it while the active one is empty: from it the next start learns where
// offsets go on.
func (l *Log) Reclaim(upTo Offset) (int, error) {
	l.reclaimMu.Lock()
	defer l.reclaimMu.Unlock()
	removed := 0
	for {
		l.mu.Lock()
		segs := l.segs
		n := len(segs)
		ok := n > 1 && segs[1].first <= upTo+1 && (n > 2 || l.active > 0)
		l.mu.Unlock()
		if !ok {
			return removed, nil
		}
		err := os.Remove(filepath.Join(l.dir, segs[0].name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, err
		}
		// Before the next unlink: names vanish in order, so that a crash leaves no hole.
		if err := l.opts.syncDir(l.dir); err != nil {
			return removed, err
		}
		l.mu.Lock()
		l.segs = l.segs[1:]
		l.total -= segs[0].size
		l.publishMetrics()
		l.mu.Unlock()
		removed++
		l.opts.Metrics.reclaim(1)
	}
}
