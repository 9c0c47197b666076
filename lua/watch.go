package lua

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long a directory must be quiet before the script is read: editors write in steps.
const settle = 100 * time.Millisecond

// Run watches the script's directory, since editors and deployments replace files rather than write to
// them, and reloads the script when its content has changed. It returns nil when ctx ends. Where the
// directory cannot be watched it says so and waits for ctx: Reload still works.
func (t *Transformer) Run(ctx context.Context) error {
	t.warn(t.findings)
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		err = watcher.Add(filepath.Dir(t.opts.Script))
	}
	if err != nil {
		t.opts.Logger.Warn("script is not watched for changes; send SIGHUP to reload it", "component", "lua",
			"script", t.opts.Script, "error", err)
		<-ctx.Done()
		return nil
	}
	t.watch(ctx, watcher.Events, watcher.Errors)
	return nil
}

// watch reloads once events have come and then stayed away for a while. What the event says does not
// matter: contents are compared.
func (t *Transformer) watch(ctx context.Context, events <-chan fsnotify.Event, failures <-chan error) {
	quiet := time.NewTimer(settle)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-quiet.C:
			// Also once at the start: the file may have changed since New read it. A refusal is logged.
			_ = t.reload(ctx, watched)
		case event := <-events:
			if event.Op != fsnotify.Chmod {
				quiet.Reset(settle)
			}
		case err := <-failures:
			t.opts.Logger.Warn("watching the script", "component", "lua", "script", t.opts.Script, "error", err)
			quiet.Reset(settle)
		}
	}
}
