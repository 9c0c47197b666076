package lua

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
)

// TestTransformer_Watch_NeverQuiet: a directory in which something changes all the time keeps no script from being read.
func TestTransformer_Watch_NeverQuiet(t *testing.T) {
	for _, tc := range []struct {
		name, file string
		op         fsnotify.Op
	}{
		{"a log is written beside the script", "other.log", fsnotify.Write},
		{"files come and go beside it", "some.tmp", fsnotify.Create},
		{"the script is written to", "transform.lua", fsnotify.Write},
		{"its rights are changed", "transform.lua", fsnotify.Chmod},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr, path := open(t, versionScript(1), Options{Logger: quietLogger()})
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				events := make(chan fsnotify.Event)
				go tr.watch(ctx, events, nil, nil)
				time.Sleep(2 * settle) // the look at the start
				replace(t, path, versionScript(2))
				events <- fsnotify.Event{Name: path, Op: fsnotify.Create}
				for range int(patience / (settle / 2)) {
					time.Sleep(settle / 2)
					events <- fsnotify.Event{Name: filepath.Join(filepath.Dir(path), tc.file), Op: tc.op}
				}
				synctest.Wait()
				if got := once(t, tr); got != `{"v":2}` {
					t.Errorf("not reloaded: %s", got)
				}
				cancel()
				synctest.Wait()
			})
		})
	}
}

// TestTransformer_Watch_WithoutEvents: what the watch of a directory does not tell is seen some seconds later.
func TestTransformer_Watch_WithoutEvents(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(dir string) error
		anew   bool
	}{
		{"the directory's link leads elsewhere", func(dir string) error {
			return errors.Join(os.Remove(dir), os.Symlink("two", dir))
		}, true},
		{"the directory is made anew", func(dir string) error {
			return errors.Join(os.Remove(dir), os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "transform.lua"), []byte(versionScript(2)), 0o600))
		}, true},
		{"the file that a link leads to is written to", func(dir string) error {
			return os.WriteFile(filepath.Join(filepath.Dir(dir), "one", "transform.lua"), []byte(versionScript(2)+" "), 0o600)
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := t.TempDir()
			for n, name := range []string{"one", "two"} {
				if err := errors.Join(os.Mkdir(filepath.Join(root, name), 0o700), os.WriteFile(filepath.Join(root, name, "transform.lua"), []byte(versionScript(n+1)), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			dir := filepath.Join(root, "current")
			if err := os.Symlink("one", dir); err != nil {
				t.Fatal(err)
			}
			tr, err := New(Options{Script: filepath.Join(dir, "transform.lua"), Logger: quietLogger()})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				anew := 0
				go tr.watch(ctx, nil, nil, func() { anew++ })
				time.Sleep(2 * settle) // the look at the start
				if err := tc.change(dir); err != nil {
					t.Error(err)
				}
				time.Sleep(pollEvery + settle)
				synctest.Wait()
				if got := once(t, tr); got != `{"v":2}` || (anew > 0) != tc.anew {
					t.Errorf("%s, the directory was watched anew %d times", got, anew)
				}
				cancel()
				synctest.Wait()
			})
		})
	}
}

// TestTransformer_Watch_SeesADirectoryGo: one in its place, which may have the number of the old one, is watched again.
func TestTransformer_Watch_SeesADirectoryGo(t *testing.T) {
	tr, path := open(t, versionScript(1), Options{Logger: quietLogger()})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		events := make(chan fsnotify.Event)
		anew := 0
		go tr.watch(ctx, events, nil, func() { anew++ })
		events <- fsnotify.Event{Name: filepath.Dir(path), Op: fsnotify.Remove}
		time.Sleep(pollEvery + settle)
		synctest.Wait()
		if anew != 1 {
			t.Errorf("watched anew %d times", anew)
		}
		cancel()
		synctest.Wait()
	})
}
