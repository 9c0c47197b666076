package lua

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long a directory must be quiet before the script is read, since editors write in steps, and
	// patience how long it may be without quiet.
	settle   = 100 * time.Millisecond
	patience = 2 * time.Second
	// pollEvery is how often the file is looked at from outside, for what a watch of its directory does not tell: the
	// directory is another one than it was, by a link or made anew, or the file is a link to somewhere else.
	pollEvery = 5 * time.Second
)

// Run watches the script's directory, since editors and deployments replace files rather than write to
// them, and reloads the script when its content has changed. It returns nil when ctx ends. Where the
// directory cannot be watched it says so; then changes are seen some seconds later.
func (t *Transformer) Run(ctx context.Context) error {
	t.warn(t.findings)
	dir := filepath.Dir(t.opts.Script)
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		t.unwatched(err)
		t.watch(ctx, nil, nil, func() {})
		return nil
	}
	defer watcher.Close()
	if err := watcher.Add(dir); err != nil {
		t.unwatched(err)
	}
	t.watch(ctx, watcher.Events, watcher.Errors, func() {
		_ = watcher.Remove(dir) // the one that had this name
		_ = watcher.Add(dir)    // fails where it is gone; it is looked for again
	})
	return nil
}

func (t *Transformer) unwatched(err error) {
	t.opts.Logger.Warn("the script's directory is not watched; changes are seen some seconds later", "component", "lua",
		"script", t.opts.Script, "error", err)
}

// watch reloads once events have come and then stayed away for a while. What the event says does not
// matter much: contents are compared. anew watches the directory that has the script's name now.
func (t *Transformer) watch(ctx context.Context, events <-chan fsnotify.Event, failures <-chan error, anew func()) {
	quiet := time.NewTimer(settle) // also once at the start: the file may have changed since New read it
	defer quiet.Stop()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	seen, waiting := t.look(), time.Now()
	changed := func() {
		if waiting.IsZero() {
			waiting = time.Now()
		}
		quiet.Reset(min(settle, patience-time.Since(waiting)))
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-quiet.C:
			seen.file, waiting = t.look().file, time.Time{}
			_ = t.reload(ctx, watched) // a refusal is logged
		case event := <-events:
			if event.Name == filepath.Dir(t.opts.Script) {
				seen.dir = nil // gone; what comes in its place may look the same
			}
			if t.concerns(event) {
				changed()
			}
		case err := <-failures:
			t.opts.Logger.Warn("watching the script", "component", "lua", "script", t.opts.Script, "error", err)
			changed()
		case <-poll.C:
			now := t.look()
			if seen.dir == nil || !os.SameFile(now.dir, seen.dir) {
				anew()
			}
			if differs(now.file, seen.file) {
				changed()
			}
			seen = now
		}
	}
}

// concerns reports whether an event may be about the script. What is written into other files is not; another file that comes
// or goes may be what a link leads to.
func (t *Transformer) concerns(event fsnotify.Event) bool {
	switch filepath.Base(event.Name) {
	case filepath.Base(t.opts.Script), filepath.Base(GoldenPath(t.opts.Script)):
		return true
	}
	return event.Has(fsnotify.Create) || event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename)
}

// sight is the script's file and directory from outside, links followed; nil for what is not there.
type sight struct{ file, dir os.FileInfo }

func (t *Transformer) look() (s sight) {
	s.file, _ = os.Stat(t.opts.Script)
	s.dir, _ = os.Stat(filepath.Dir(t.opts.Script))
	return s
}

// differs reports whether a file is another one than it was, or was written to.
func differs(now, before os.FileInfo) bool {
	if now == nil || before == nil {
		return now != before
	}
	return !os.SameFile(now, before) || now.Size() != before.Size() || now.Mode() != before.Mode() || !now.ModTime().Equal(before.ModTime())
}
