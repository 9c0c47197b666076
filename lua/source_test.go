package lua

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReload_WhatIsNoScript: whatever stands where the script stood is refused, at once and without being read whole.
func TestReload_WhatIsNoScript(t *testing.T) {
	for _, tc := range []struct {
		name string
		put  func(path string) error
		want string
	}{
		{"nothing", func(string) error { return nil }, "no such file"},
		{"a directory", func(path string) error { return os.Mkdir(path, 0o700) }, "is no regular file"},
		{"a pipe that nobody writes into", func(path string) error { return unix.Mkfifo(path, 0o600) }, "is no regular file"},
		{"a link to nothing", func(path string) error { return os.Symlink("gone.lua", path) }, "no such file"},
		{"a file without end", func(path string) error {
			return errors.Join(os.WriteFile(path, []byte(body("")), 0o600), os.Truncate(path, 1<<40))
		}, "is larger than 524288 bytes"},
		{"golden events in a pipe", func(path string) error {
			return errors.Join(os.WriteFile(path, []byte(versionScript(2)), 0o600), unix.Mkfifo(GoldenPath(path), 0o600))
		}, "transform.golden.ndjson is no regular file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr, path := open(t, versionScript(1), Options{Logger: quietLogger()})
			if err := errors.Join(os.Remove(path), tc.put(path)); err != nil {
				t.Fatal(err)
			}
			if err := tr.Reload(t.Context(), true); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("reload: %v, want %q", err, tc.want)
			}
			if err := Check(t.Context(), path, Options{}); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("check: %v, want %q", err, tc.want)
			}
			if got := once(t, tr); got != `{"v":1}` {
				t.Error(got)
			}
		})
	}
}

// TestLoad_FromAPipe: commands read what a shell gives them.
func TestLoad_FromAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "transform.lua")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan error)
	go func() { written <- os.WriteFile(path, []byte(versionScript(1)), 0o600) }()
	if _, err := Load(path, Options{}); err != nil {
		t.Error(err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}
