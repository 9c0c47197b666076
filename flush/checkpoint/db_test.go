package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/weirlog/weir/wal"
)

const epoch = wal.Epoch(0xfeed)

func open(t testing.TB, path string) *DB {
	t.Helper()
	db, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func mustLoad(t testing.TB, db *DB, stream string) wal.Offset {
	t.Helper()
	o, err := db.Load(stream)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestDB_Advance_SurvivesReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weir.db")
	db := open(t, path)
	if db.Rebuilt() || db.Identity() != 0 || len(db.Streams()) != 0 {
		t.Fatal("a new file is not empty")
	}
	if err := db.Advance(epoch, map[string]wal.Offset{"default": 10, "audit": 7}); err != nil {
		t.Fatal(err)
	}
	if err := db.Advance(epoch, map[string]wal.Offset{"default": 12}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, path)
	if db.Rebuilt() || db.Identity() != epoch || mustLoad(t, db, "default") != 12 || mustLoad(t, db, "audit") != 7 || db.Highest() != 12 {
		t.Fatalf("%s %v", db.Identity(), db.Streams())
	}
	if got := mustLoad(t, db, "nobody"); got != 0 {
		t.Fatalf("unknown stream stands at %d", got)
	}
	if err := db.Forget("audit"); err != nil {
		t.Fatal(err)
	}
	if _, ok := db.Position("audit"); ok {
		t.Fatal("forgotten stream is listed")
	}
}

func TestDB_Advance_MovesBackwardsOnlyByReset(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "weir.db"))
	for _, o := range []wal.Offset{5, 9, 3} {
		if err := db.Advance(epoch, map[string]wal.Offset{"s": o, "other": o * 10}); err != nil {
			t.Fatal(err)
		}
	}
	if mustLoad(t, db, "s") != 9 || mustLoad(t, db, "other") != 90 {
		t.Fatal(db.Streams())
	}
	if err := db.Reset(epoch, map[string]wal.Offset{"s": 3}); err != nil {
		t.Fatal(err)
	}
	if mustLoad(t, db, "s") != 3 {
		t.Fatal(db.Streams())
	}
}

func TestDB_Load_AnswersOnlyForTheLogsEpoch(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "weir.db"))
	if err := db.Advance(epoch, map[string]wal.Offset{"s": 100}); err != nil {
		t.Fatal(err)
	}
	if err := db.Advance(epoch+1, map[string]wal.Offset{"s": 101}); err == nil {
		t.Fatal("another epoch was taken without SetEpoch")
	}
	if err := db.SetEpoch(epoch + 1); err != nil {
		t.Fatal(err)
	}
	if mustLoad(t, db, "s") != 0 || db.Highest() != 0 {
		t.Fatal("a checkpoint of the old epoch is trusted")
	}
	if p, _ := db.Position("s"); p != (Position{Epoch: epoch, Offset: 100}) {
		t.Fatalf("the old checkpoint is gone: %+v", p)
	}
	if err := db.Advance(epoch+1, map[string]wal.Offset{"s": 1}); err != nil {
		t.Fatal(err)
	}
	if mustLoad(t, db, "s") != 1 {
		t.Fatal("the new epoch did not replace the old one")
	}
}

func TestDB_Advance_RefusesWhatCannotBeStored(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "weir.db"))
	if err := db.Advance(0, map[string]wal.Offset{"s": 1}); err == nil {
		t.Error("epoch 0")
	}
	if err := db.Advance(epoch, map[string]wal.Offset{strings.Repeat("s", 256): 1}); err == nil {
		t.Error("long name")
	}
	if len(db.Streams()) != 0 {
		t.Error(db.Streams())
	}
}

func TestDB_Advance_FromManyGoroutines_KeepsTheHighest(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "weir.db"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for o := 1; o <= 10; o++ {
				if err := db.Advance(epoch, map[string]wal.Offset{"s": wal.Offset(o*8 + i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if mustLoad(t, db, "s") != 87 {
		t.Fatal(db.Streams())
	}
}

func TestDB_AfterClose_SaysSo(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "weir.db"))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Advance(epoch, map[string]wal.Offset{"s": 1}); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}

func TestDB_PanicInsideBolt_IsDamageFromThenOn(t *testing.T) {
	db, err := Open(filepath.Join(t.TempDir(), "weir.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.View(func(*bbolt.Tx) error { panic("page 7 already freed") }); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	if err := db.Advance(epoch, map[string]wal.Offset{"s": 1}); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDB_FileCutWhileInUse_DoesNotEndTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weir.db")
	db, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	// A mapped page without a file behind it is a memory fault, as an unreadable sector is.
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if err := db.Advance(epoch, map[string]wal.Offset{"s": 1}); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	// Nobody knows which locks bbolt left behind; Close must not wait for them.
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpen_Damage_IsSetAsideAndSaid(t *testing.T) {
	for name, content := range map[string][]byte{
		"empty file":            {},
		"one byte":              {1},
		"garbage":               bytes.Repeat([]byte("weir"), 10_000),
		"zeros":                 make([]byte, 64<<10),
		"only a valid meta":     goodFile(t)[:4096],
		"cut behind both metas": goodFile(t)[:8192],
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "weir.db")
			for round := range 2 { // the second one must not overwrite what the first one kept
				if err := os.WriteFile(path, content, 0o600); err != nil {
					t.Fatal(err)
				}
				var log bytes.Buffer
				db, err := Open(path, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
				if err != nil {
					t.Fatal(err)
				}
				if !db.Rebuilt() || strings.Count(log.String(), "\n") != 1 {
					t.Fatalf("rebuilt %v, logged %q", db.Rebuilt(), log.String())
				}
				if err := db.Advance(epoch, map[string]wal.Offset{"s": 1}); err != nil {
					t.Fatal(err)
				}
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				kept, err := filepath.Glob(path + ".damaged-*")
				if err != nil || len(kept) != round+1 {
					t.Fatalf("kept %v, %v", kept, err)
				}
				for _, k := range kept {
					if b, err := os.ReadFile(k); err != nil || !bytes.Equal(b, content) {
						t.Fatalf("%s holds other bytes (%v)", k, err)
					}
				}
			}
			if db := open(t, path); db.Rebuilt() || mustLoad(t, db, "s") != 1 {
				t.Fatal("the new file did not last")
			}
		})
	}
}

func TestOpen_NotTheFilesFault_LeavesItAlone(t *testing.T) {
	t.Run("locked by another user of it", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "weir.db")
		open(t, path)
		if _, err := Open(path, Options{}); !errors.Is(err, wal.ErrLocked) {
			t.Fatal(err)
		}
		assertNothingSetAside(t, path)
	})
	t.Run("made by a newer version", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "weir.db")
		value := []byte{0, stateVersion + 1, 'n', 'e', 'w', 'e', 'r', ' ', 't', 'h', 'a', 'n', ' ', 'u', 's'}
		value = binary.BigEndian.AppendUint32(value, crc32.Checksum(value, castagnoli))
		db := open(t, path)
		err := db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(stateBucket).Put(stateKey, value) })
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Options{}); !errors.Is(err, wal.ErrNewerFormat) || !strings.Contains(err.Error(), path) {
			t.Fatal(err)
		}
		assertNothingSetAside(t, path)
	})
	t.Run("a directory stands there", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "weir.db")
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Options{}); err == nil {
			t.Fatal("opened a directory")
		}
		assertNothingSetAside(t, path)
	})
}

func assertNothingSetAside(t *testing.T, path string) {
	t.Helper()
	if kept, _ := filepath.Glob(path + ".damaged-*"); len(kept) != 0 {
		t.Fatal(kept)
	}
}

func TestOpen_LeftoverOfACrashWhileMaking_IsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weir.db")
	if err := os.WriteFile(path+".new", goodFile(t)[:5000], 0o600); err != nil {
		t.Fatal(err)
	}
	if db := open(t, path); db.Rebuilt() {
		t.Fatal("a file that never had its name counts as damage")
	}
	if _, err := os.Stat(path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// goodFile returns the bytes of a database with checkpoints and an index of several levels.
func goodFile(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "weir.db")
	db, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range wal.Offset(5) {
		if err := db.Advance(epoch, map[string]wal.Offset{"default": highest - 4 + i, "audit": highest - 4 + i}); err != nil {
			t.Fatal(err)
		}
		err := db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("letters:test"))
			if err != nil {
				return err
			}
			live, err := b.CreateBucketIfNotExists([]byte("live"))
			if err != nil {
				return err
			}
			for k := range 60 {
				if err := live.Put(fmt.Appendf(nil, "%d-%03d", i, k), bytes.Repeat([]byte{byte(k)}, 40)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
