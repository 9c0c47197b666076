package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestReplaceFile_LeftoverOfACrash: what a run before left under the temporary name lends its mode to nothing.
func TestReplaceFile_LeftoverOfACrash(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "secrets")
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(tempName(path), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "new", 0o600)

	if err := os.Symlink(other, tempName(path)); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(path, []byte("newer"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "newer", 0o600)
	if _, err := os.Stat(other); !os.IsNotExist(err) {
		t.Errorf("a link under the temporary name was followed: %v", err)
	}
}

// TestReplaceFile_Link: a link stays one, and what it leads to is replaced.
func TestReplaceFile_Link(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "file"), filepath.Join(t.TempDir(), "link")
	if err := os.WriteFile(path, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(link, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "new", 0o640)
	if to, err := os.Readlink(link); err != nil || to != path {
		t.Errorf("the link leads to %q: %v", to, err)
	}
}

// TestReplaceFile_Device: what is no file, such as /dev/stdout or /dev/null, is written to and stays what it is.
func TestReplaceFile_Device(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0) // both ends, so that nobody waits
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	if err := replaceFile(path, []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeNamedPipe {
		t.Fatalf("the pipe became %v %v", info.Mode(), err)
	}
	got := make([]byte, 3)
	if _, err := pipe.Read(got); err != nil || string(got) != "new" {
		t.Errorf("read %q %v", got, err)
	}
	if err := replaceFile(filepath.Dir(path), nil, 0o644); err == nil {
		t.Error("a directory was replaced")
	}
}

func wantFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != text {
		t.Errorf("%s holds %q %v, want %q", path, got, err, text)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != mode {
		t.Errorf("%s has mode %v %v, want %v", path, info.Mode(), err, mode)
	}
}
