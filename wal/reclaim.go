package wal

import (
	"errors"
	"io/fs"
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
		// Taken off the list before the file goes: a reader that does not find a file and looks at the list
		// again must see that it was reclaimed and is not missing.
		oldest, ok := l.unlistOldest(upTo)
		if !ok {
			return removed, nil
		}
		err := l.opts.remove(filepath.Join(l.dir, oldest.name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.relist(oldest)
			return removed, err
		}
		// Before the next unlink: names vanish in order, so that a crash leaves no hole.
		if err := l.opts.syncDir(l.dir); err != nil {
			return removed, err
		}
		removed++
		l.opts.Metrics.reclaim(1)
	}
}

// unlistOldest takes the oldest segment off the list if it may be reclaimed.
func (l *Log) unlistOldest(upTo Offset) (segment, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled = max(l.settled, upTo)
	segs := l.segs
	n := len(segs)
	if n < 2 || segs[1].first > upTo+1 || n == 2 && l.active == 0 {
		return segment{}, false
	}
	l.segs = segs[1:]
	l.total -= segs[0].size
	l.publishMetrics()
	return segs[0], true
}

// relist puts a segment back whose file could not be removed.
func (l *Log) relist(oldest segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.segs = append([]segment{oldest}, l.segs...)
	l.total += oldest.size
	l.publishMetrics()
}
