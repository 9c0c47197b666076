package checkpoint

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/weirlog/weir/wal"
)

// highest is the checkpoint of goodFile; no damage may give a higher one.
const highest = wal.Offset(0x0100)

// judge opens the damaged file, uses it, and says whether it was taken as good.
func judge(t *testing.T, path string, content []byte, what string) (rebuilt bool) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := Open(path, Options{})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	for stream, p := range db.Streams() {
		if p.Offset > highest || p.Epoch != epoch || stream != "default" && stream != "audit" {
			t.Fatalf("%s: stream %s stands at %+v", what, stream, p)
		}
	}
	if e := db.Identity(); e != epoch && !db.Rebuilt() {
		t.Fatalf("%s: identity %s", what, e)
	}
	// What passed as good must also bear reading and writing.
	err = db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket([]byte("letters:test")); b != nil && b.Bucket([]byte("live")) != nil {
			return b.Bucket([]byte("live")).ForEach(func(k, v []byte) error { return nil })
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s: read: %v", what, err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists([]byte("letters:test"))
		return err
	}); err != nil {
		t.Fatalf("%s: make a bucket: %v", what, err)
	}
	if err := db.Advance(epoch, map[string]wal.Offset{"default": highest + 1}); err != nil {
		t.Fatalf("%s: write: %v", what, err)
	}
	if err := db.Close(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if kept, _ := filepath.Glob(path + ".damaged-*"); len(kept) > 0 {
		for _, k := range kept {
			_ = os.Remove(k)
		}
	}
	return db.Rebuilt()
}

func TestOpen_FlippedBits_NeverGiveAHigherCheckpoint(t *testing.T) {
	good := goodFile(t)
	path := filepath.Join(t.TempDir(), "weir.db")
	flips := 1500
	if testing.Short() {
		flips = 200
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	used := usedBytes(good)
	var rebuilt int
	for range flips {
		bit := used[rnd.IntN(len(used))]*8 + rnd.IntN(8)
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if judge(t, path, bad, fmt.Sprintf("bit %d of byte %d", bit%8, bit/8)) {
			rebuilt++
		}
	}
	t.Logf("%d flips, %d files set aside", flips, rebuilt)
	if rebuilt == 0 {
		t.Fatal("no flip was noticed: the test does not touch what matters")
	}
}

// TestOpen_BucketThatIsNoneAnyMore clears what says that a value is a bucket: bbolt would make no other one of that name.
func TestOpen_BucketThatIsNoneAnyMore(t *testing.T) {
	good := goodFile(t)
	path := filepath.Join(t.TempDir(), "weir.db")
	rebuilt := 0
	for at := 0; at < len(good); at += 8 {
		if order.Uint32(good[at:]) != 1 {
			continue
		}
		bad := bytes.Clone(good)
		bad[at] ^= 1
		if judge(t, path, bad, fmt.Sprintf("byte %d", at)) {
			rebuilt++
		}
	}
	if rebuilt < 2 {
		t.Fatalf("%d files set aside: the test does not touch what matters", rebuilt)
	}
}

// TestVerifyPages_InlineBucketThatClaimsAPage: bbolt frees the page that an inline bucket names when it writes the bucket, and
// nothing else ever looks at that name.
func TestVerifyPages_InlineBucketThatClaimsAPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weir.db")
	bolt, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	name := []byte("a-bucket-inline")
	if err := bolt.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(name)
		if err != nil {
			return err
		}
		return b.Put([]byte("key"), []byte("value"))
	}); err != nil {
		t.Fatal(err)
	}
	if err := bolt.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifyPages(bytes.NewReader(good), int64(len(good))); err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(good, name) + len(name) + bucketHeader
	for bit := range 64 {
		bad := bytes.Clone(good)
		bad[at+bit/8] ^= 1 << (bit % 8)
		if verifyPages(bytes.NewReader(bad), int64(len(bad))) == nil {
			t.Errorf("bit %d of the page's number", bit)
		}
	}
}

// usedBytes lists the positions that are not zero and those around them: the rest of the file is empty space.
func usedBytes(b []byte) []int {
	var used []int
	for i := range b {
		if !bytes.Equal(b[max(0, i-16):min(len(b), i+16)], make([]byte, min(len(b), i+16)-max(0, i-16))) {
			used = append(used, i)
		}
	}
	return used
}

func TestOpen_CutOrZeroedFile_NeverGivesAHigherCheckpoint(t *testing.T) {
	good := goodFile(t)
	path := filepath.Join(t.TempDir(), "weir.db")
	for at := 0; at < len(good); at += 512 {
		judge(t, path, good[:at], fmt.Sprintf("cut at %d", at))
		zeroed := bytes.Clone(good)
		clear(zeroed[at : at+512])
		judge(t, path, zeroed, fmt.Sprintf("sector zeroed at %d", at))
	}
}

func TestOpen_SwappedPages_NeverGiveAHigherCheckpoint(t *testing.T) {
	good := goodFile(t)
	path := filepath.Join(t.TempDir(), "weir.db")
	page := os.Getpagesize()
	pages := len(good) / page
	for i := range min(pages, 14) {
		for j := range i {
			bad := bytes.Clone(good)
			copy(bad[i*page:], good[j*page:(j+1)*page])
			judge(t, path, bad, fmt.Sprintf("page %d over page %d", j, i))
		}
	}
}

func FuzzVerifyPages(f *testing.F) {
	good := goodFile(f)
	f.Add(uint32(0), []byte{1})
	f.Add(uint32(8200), []byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		bad := bytes.Clone(good)
		copy(bad[int(at)%len(bad):], patch)
		// Either answer is right; a panic, a loop or an allocation without bound is not.
		if verifyPages(bytes.NewReader(bad), int64(len(bad))) == nil {
			judge(t, filepath.Join(t.TempDir(), "weir.db"), bad, "patched")
		}
	})
}
