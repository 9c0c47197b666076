package lua

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestReload_EndsBetweenTests: a service that stops does not wait for a script's tests, and nothing is held against the script.
func TestReload_EndsBetweenTests(t *testing.T) {
	tr, path := open(t, versionScript(1), Options{Logger: quietLogger()})
	ctx, cancel := context.WithCancel(t.Context())
	tr.opts.now = func() (now time.Duration) { // the first test is running, or the script is loaded
		cancel()
		return threadTime()
	}
	replace(t, path, "for i = 1, 2000 do end "+versionScript(2)+"\nfunction test_a() error('run') end")
	if err := tr.Reload(ctx, true); !errors.Is(err, context.Canceled) {
		t.Errorf("reload: %v", err)
	}
	if s := tr.Status().(Status); s.Refused != "" || once(t, tr) != `{"v":1}` {
		t.Errorf("%+v", s)
	}
}

// TestReload_DoesNotWaitForAnother once its context has ended.
func TestReload_DoesNotWaitForAnother(t *testing.T) {
	tr, _ := open(t, versionScript(1), Options{Logger: quietLogger()})
	synctest.Test(t, func(t *testing.T) {
		tr.reloading = make(chan struct{}, 1)
		tr.reloading <- struct{}{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- tr.Reload(ctx, false) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
