package checkpoint

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

// TestDB_View_LetsALargeFileGo: what was read of the map would stay memory of the process.
func TestDB_View_LetsALargeFileGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weir.db")
	db := open(t, path)
	name, value := []byte("many"), bytes.Repeat([]byte{'v'}, 64<<10)
	const values = 1000 // 64 MiB
	err := db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(name)
		for i := 0; err == nil && i < values; i++ {
			err = b.Put([]byte{byte(i >> 8), byte(i)}, value)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for range mappedViews {
		if err := db.View(func(tx *bbolt.Tx) error { return readAll(t, tx.Bucket(name), value, values) }); err != nil {
			t.Fatal(err)
		}
	}
	if got := resident(t, path); got > 4<<20 {
		t.Errorf("%d bytes of the file are memory of the process", got)
	}
	if err := db.View(func(tx *bbolt.Tx) error { return readAll(t, tx.Bucket(name), value, values) }); err != nil {
		t.Fatal(err)
	}
	if got := resident(t, path); got < values*int64(len(value))/2 {
		t.Errorf("only %d bytes are in memory right after they were read: this test measures nothing", got)
	}
}

func readAll(t *testing.T, b *bbolt.Bucket, value []byte, values int) error {
	n := 0
	err := b.ForEach(func(_, v []byte) error {
		if !bytes.Equal(v, value) {
			t.Errorf("value %d is another", n)
		}
		n++
		return nil
	})
	if n != values {
		t.Errorf("%d values", n)
	}
	return err
}

// resident returns how much of a mapped file is in this process's memory.
func resident(t *testing.T, path string) (bytes int64) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	of := false
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Rss:"); ok && of {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			bytes += n * 1024
		}
		if strings.Contains(line, "-") && strings.Contains(line, " r") {
			of = strings.HasSuffix(strings.TrimSpace(line), path)
		}
	}
	return bytes
}
