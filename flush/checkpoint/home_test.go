package checkpoint

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/wal"
)

func someHome() Home {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	return Home{Host: "shop-1", Machine: "0123456789abcdef", Path: "/var/lib/weir", PID: 4711, Version: "1.0.0", Started: at, Stopped: at.Add(time.Hour)}
}

func TestHome_Encode_IsGolden(t *testing.T) {
	path := filepath.Join("testdata", "home-v1.hex")
	b, err := someHome().encode()
	if err != nil {
		t.Fatal(err)
	}
	got := hex.EncodeToString(b) + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(text) {
		t.Errorf("encoded\n%swant\n%s", got, text)
	}
	if b, err = hex.DecodeString(strings.TrimSpace(string(text))); err != nil {
		t.Fatal(err)
	}
	if h, ok, err := decodeHome(b); err != nil || !ok || h != someHome() {
		t.Errorf("decoded %+v, %v, %v", h, ok, err)
	}
	for i := range len(b) * 8 {
		b[i/8] ^= 1 << (i % 8)
		if h, ok, err := decodeHome(b); ok || !errors.Is(err, errHome) {
			t.Fatalf("bit %d: %+v, %v", i, h, err)
		}
		b[i/8] ^= 1 << (i % 8)
	}
}

// TestLook reads what is stored, beside nobody, and leaves every byte as it is.
func TestLook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weir.db")
	if db, err := Look(path); err != nil || !errors.Is(db.Fault(), ErrMissing) || db.Close() != nil {
		t.Fatal(db, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("Look made a file: %v", err)
	}
	db := open(t, path)
	if !db.Made() || db.Kept() != "" {
		t.Errorf("made %v, kept %q", db.Made(), db.Kept())
	}
	if err := db.Advance(epoch, map[string]wal.Offset{"s": 7}); err != nil {
		t.Fatal(err)
	}
	if err := db.SetHome(someHome()); err != nil {
		t.Fatal(err)
	}
	if err := db.Verify(); err != nil {
		t.Errorf("verify in use: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	db, err = Look(path)
	if err != nil || db.Fault() != nil || mustLoad(t, db, "s") != 7 || db.Verify() != nil || db.Made() {
		t.Fatalf("%v, %v", err, db.Fault())
	}
	if h, ok := db.Home(); !ok || h != someHome() {
		t.Errorf("home %+v", h)
	}
	if db.SetHome(Home{}) == nil {
		t.Error("a database for reading was changed")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(whole) {
		t.Errorf("Look changed the file, %v", err)
	}
}

func TestLook_Damaged_StaysAsItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weir.db")
	if err := os.WriteFile(path, make([]byte, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := Look(path)
	if err != nil || !errors.Is(db.Fault(), ErrDamaged) {
		t.Fatal(db, err)
	}
	if _, ok := db.Position("s"); ok || !errors.Is(db.Verify(), ErrDamaged) {
		t.Error("a damaged database knows something")
	}
	if _, ok := db.Home(); ok {
		t.Error("a damaged database knows where it was used")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("%v %v", entries, err)
	}
}

// TestVerify_FlippedValue finds what no page check can: a changed byte inside a value.
func TestVerify_FlippedValue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weir.db")
	db := open(t, path)
	if err := db.SetHome(someHome()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "shop-1", "shop-2")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if db, err = Look(path); err != nil || db.Fault() != nil || !errors.Is(db.Verify(), errHome) {
		t.Errorf("%v, %v, %v", err, db.Fault(), db.Verify())
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, path) // what only people read does not keep it from opening
	if _, ok := db.Home(); ok || db.Made() {
		t.Error("a damaged home is believed")
	}
}
