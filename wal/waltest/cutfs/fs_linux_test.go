package cutfs

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"
)

// The work is done by a child process: this one serves the mount.
func TestMain(m *testing.M) {
	if dir := os.Getenv("CUTFS_WORK"); dir != "" {
		if err := works[os.Getenv("CUTFS_NAME")](dir); err != nil {
			os.Stderr.WriteString(err.Error()) //nolint:errcheck // the exit code tells
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var works = map[string]func(dir string) error{
	"files": workFiles,
	"bolt":  workBolt,
	"write": func(dir string) error { return os.WriteFile(filepath.Join(dir, "a"), make([]byte, 100), 0o640) },
}

// workFiles uses everything that a log does to files.
func workFiles(dir string) error {
	at := func(name string) string { return filepath.Join(dir, name) }
	f, err := os.OpenFile(at("log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o640)
	if err != nil {
		return err
	}
	defer f.Close()
	for range 3 {
		if _, err := f.Write(bytes.Repeat([]byte("x"), 5000)); err != nil {
			return err
		}
	}
	return errors.Join(
		f.Sync(), f.Truncate(9000), os.Mkdir(at("sub"), 0o750), os.WriteFile(at("sub/new"), []byte("new"), 0o640),
		os.Rename(at("sub/new"), at("moved")), os.Link(at("moved"), at("sub/linked")), os.Remove(at("old")), syncDirectory(dir),
	)
}

func syncDirectory(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// workBolt reads through a map what it wrote.
func workBolt(dir string) error {
	db, err := bbolt.Open(filepath.Join(dir, "weir.db"), 0o640, nil)
	if err != nil {
		return err
	}
	for i := range 20 {
		if err := db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			if i > 0 && !bytes.Equal(b.Get([]byte{byte(i - 1)}), bytes.Repeat([]byte{byte(i - 1)}, 3000)) {
				return errors.New("the map does not show what was written")
			}
			return b.Put([]byte{byte(i)}, bytes.Repeat([]byte{byte(i)}, 3000))
		}); err != nil {
			return err
		}
	}
	return db.Close()
}

// work mounts an empty directory with one file "old" and lets a child do its work there.
func work(t *testing.T, name string, faults ...Fault) (f *FS, backing string, err error) {
	t.Helper()
	backing, mount := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(backing, "old"), []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	f, err = Mount(backing, mount, Options{})
	if errors.Is(err, ErrNotPossible) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	f.SetFaults(faults...)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CUTFS_WORK="+mount, "CUTFS_NAME="+name)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = errors.New(string(out))
	}
	return f, backing, err
}

func TestFS_RecordingReplaysToTheSameTree(t *testing.T) {
	for _, name := range []string{"files", "bolt"} {
		t.Run(name, func(t *testing.T) {
			f, backing, err := work(t, name)
			if err != nil {
				t.Fatal(err)
			}
			synced := map[Kind]bool{}
			for _, op := range f.Ops() {
				synced[op.Kind] = true
			}
			if !synced[SyncFile] || name == "files" && !synced[SyncDir] {
				t.Errorf("an fsync was not recorded: %v", synced)
			}
			for _, m := range Models() {
				c := NewCursor(f.Base(), f.Ops())
				for c.Next() {
				}
				var last *State
				for s := range c.Systematic(m, 1) {
					if last = s; strings.Contains(s.How, "everything") {
						break
					}
				}
				got := filepath.Join(t.TempDir(), "state")
				if err := last.WriteTo(got); err != nil {
					t.Fatal(err)
				}
				if out, err := exec.Command("diff", "-r", backing, got).CombinedOutput(); err != nil {
					t.Errorf("%s: %s", last, out)
				}
			}
		})
	}
}

func TestFS_Faults(t *testing.T) {
	for name, fault := range map[string]Fault{
		"no space to create":         {Kind: Create, Path: "a", Err: syscall.ENOSPC},
		"a write fails":              {Kind: Write, Err: syscall.EIO},
		"half a write, then no room": {Kind: Write, Short: true, Err: syscall.EDQUOT},
	} {
		t.Run(name, func(t *testing.T) {
			f, backing, err := work(t, "write", fault)
			if err == nil || !strings.Contains(err.Error(), fault.Err.Error()) {
				t.Errorf("the process was told %v, want %v", err, fault.Err)
			}
			if hit := f.Injected(); len(hit) != 1 || hit[0].Err != fault.Err || hit[0].Kind != fault.Kind {
				t.Errorf("hit %v", hit)
			}
			want := map[bool]int64{true: 50}[fault.Short]
			if info, err := os.Stat(filepath.Join(backing, "a")); err == nil && info.Size() != want {
				t.Errorf("%d bytes are there, want %d", info.Size(), want)
			}
		})
	}
	t.Run("a short write is told", func(t *testing.T) {
		if _, backing, err := work(t, "write", Fault{Kind: Write, Short: true}); err != nil {
			t.Errorf("the rest was not written: %v", err)
		} else if info, err := os.Stat(filepath.Join(backing, "a")); err != nil || info.Size() != 100 {
			t.Errorf("%v %v", info, err)
		}
	})
}
