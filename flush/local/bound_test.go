package local

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/blevesearch/bleve/v2/index/scorch"

	"github.com/weirlog/weir/flush"
)

// diskBytes is what all files below dir take up.
func diskBytes(t testing.TB, dir string) int64 {
	t.Helper()
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// fill stores documents until there are as many parts, and returns how many were sent.
func fill(t testing.TB, s *Store, first, parts int) int {
	t.Helper()
	n := first
	for s.Stats().Parts < parts {
		deliver(t, s, monolog(n, 300), flush.Delivered)
		n += 300
	}
	return n
}

func small(o *Options) { o.MaxBytes = MinBytes }

// TestStore_OldestGoFirst fills a store beyond its limit. K5.
func TestStore_OldestGoFirst(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, small)
	sent := fill(t, s, 0, 3)
	perPart := sent / 2
	for sent < 18*perPart {
		deliver(t, s, monolog(sent, 300), flush.Delivered)
		sent += 300
		if got := diskBytes(t, dir); got > MinBytes {
			t.Fatalf("%d bytes on disk after %d documents, limit %d", got, sent, MinBytes)
		}
	}
	st := s.Stats()
	if st.Documents >= uint64(sent) || st.Bytes < MinBytes/2 {
		t.Fatalf("nothing was removed, or too much: %d sent, %+v", sent, st)
	}
	// What is left is the newest, without a gap.
	oldest := monolog(sent-int(st.Documents), 1)[0]
	if !st.Oldest.Equal(oldest.ReceivedAt) {
		t.Errorf("oldest is %v, want %v", st.Oldest, oldest.ReceivedAt)
	}
	if got := total(t, s, "*"); got != int(st.Documents) {
		t.Errorf("%d found, %d counted", got, st.Documents)
	}
	// In all parts, an id that is there is found there.
	for n := sent - int(st.Documents); n < sent; n += 997 {
		deliver(t, s, monolog(n, 1), flush.Duplicate)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, small)
	for n := sent - int(st.Documents); n < sent; n += 997 {
		deliver(t, s, monolog(n, 1), flush.Duplicate)
	}
	res, err := s.Search(t.Context(), Query{Limit: 1, OldestFirst: true})
	if err != nil || res.Total != st.Documents || res.Hits[0].ID != oldest.ID {
		t.Errorf("oldest: %+v, %v; want %s", res, err, oldest.ID)
	}
}

// TestStore_SearchWhileRotating searches while parts are sealed and removed.
func TestStore_SearchWhileRotating(t *testing.T) {
	s := openStore(t, t.TempDir(), small)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				res, err := s.Search(t.Context(), Query{Text: `+"request" +node3`, Limit: 5})
				if err != nil {
					t.Errorf("search: %v", err)
					return
				}
				for i := 1; i < len(res.Hits); i++ {
					if res.Hits[i].ReceivedAt.After(res.Hits[i-1].ReceivedAt) {
						t.Error("hits are not in order")
						return
					}
				}
			}
		})
	}
	fill(t, s, 0, 4)
	close(done)
	wg.Wait()
}

func copyTree(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestStore_Damage damages the files of a sealed part and of the one that is written to. K6.
func TestStore_Damage(t *testing.T) {
	origin := t.TempDir()
	s := openStore(t, origin, small)
	sent := fill(t, s, 0, 3)
	deliver(t, s, monolog(sent, 10), flush.Delivered)
	sent += 10
	all := int(s.Stats().Documents)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	change := func(path string, f func([]byte) []byte) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	segment := func(dir string) string {
		names, err := filepath.Glob(filepath.Join(dir, "*.zap"))
		if err != nil || len(names) == 0 {
			t.Fatal("no segment", err)
		}
		return names[0]
	}
	flip := func(b []byte) []byte { b[len(b)/3] ^= 0x10; return b }
	for _, tt := range []struct {
		name   string
		damage func(part string)
		whole  bool // nothing is lost
	}{
		{"a bit of a segment is flipped", func(p string) { change(segment(p), flip) }, false},
		{"a segment is cut short", func(p string) { change(segment(p), func(b []byte) []byte { return b[:len(b)/2] }) }, false},
		{"a segment is empty", func(p string) { change(segment(p), func([]byte) []byte { return nil }) }, false},
		{"a segment is missing", func(p string) { _ = os.Remove(segment(p)) }, false},
		{"the root is missing", func(p string) { _ = os.Remove(filepath.Join(p, rootFile)) }, false},
		{"the root is garbage", func(p string) {
			change(filepath.Join(p, rootFile), func(b []byte) []byte { return bytes.Repeat([]byte("x"), len(b)) })
		}, false},
		{"the root is cut short", func(p string) { change(filepath.Join(p, rootFile), func(b []byte) []byte { return b[:5000] }) }, false},
		{"the root's pages are zero behind the first two", func(p string) {
			change(filepath.Join(p, rootFile), func(b []byte) []byte { clear(b[8192:]); return b })
		}, false},
		{"the directory is empty", func(p string) { _ = os.RemoveAll(p); _ = os.Mkdir(p, 0o700) }, false},
		{"the id filter is damaged", func(p string) {
			if err := os.WriteFile(filepath.Join(p, filterFile), []byte("weirids1nonsense"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"a segment that nothing names lies about", func(p string) {
			if err := os.WriteFile(filepath.Join(p, "0000000fffff.zap"), []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		for _, part := range []uint64{1, 3} {
			t.Run(tt.name+"/"+partName(part), func(t *testing.T) {
				dir := copyTree(t, origin)
				tt.damage(filepath.Join(dir, partName(part)))
				s := openStore(t, dir, small)
				got := total(t, s, "*")
				if st := s.Stats(); tt.whole {
					if got != all || st.Damaged != 0 {
						t.Errorf("%d of %d found, %d parts set aside", got, all, st.Damaged)
					}
				} else {
					if got == 0 || got >= all || st.Damaged != 1 {
						t.Errorf("%d of %d found, %d parts set aside", got, all, st.Damaged)
					}
					if _, err := os.Stat(filepath.Join(dir, partName(part)+suffixDamaged)); err != nil {
						t.Errorf("damaged part is not kept: %v", err)
					}
				}
				deliver(t, s, monolog(sent, 20), flush.Delivered)
				if after := total(t, s, "*"); after != got+20 {
					t.Errorf("%d found after 20 more, %d before", after, got)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = openStore(t, dir, small)
				if after := total(t, s, "*"); after != got+20 {
					t.Errorf("%d found after reopening, want %d", after, got+20)
				}
			})
		}
	}
}

// TestStore_HalfMade leaves behind what a crash in the middle of making or removing a part leaves. K6.
func TestStore_HalfMade(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, small)
	sent := fill(t, s, 0, 3)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	first, third := filepath.Join(dir, partName(1)), filepath.Join(dir, partName(3))
	if err := os.CopyFS(filepath.Join(dir, partName(4)+suffixNew), os.DirFS(third)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(first, first+suffixOld); err != nil { // half removed
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(first+suffixOld, rootFile)); err != nil {
		t.Fatal(err)
	}
	// Crashed after the third part was made and before the second was sealed.
	if err := os.Remove(filepath.Join(dir, partName(2), filterFile)); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, small)
	if st := s.Stats(); st.Parts != 2 || st.Damaged != 0 {
		t.Errorf("stats %+v", st)
	}
	deliver(t, s, monolog(sent-300, 300), flush.Duplicate)
	for _, name := range []string{partName(4) + suffixNew, partName(1) + suffixOld} {
		if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	if got := s.Stats(); got.Documents == 0 || total(t, s, "*") != int(got.Documents) {
		t.Errorf("stats %+v", got)
	}
}

// TestStore_DamagedGoFirst makes room by what was set aside, before anything that can be found.
func TestStore_DamagedGoFirst(t *testing.T) {
	dir := t.TempDir()
	aside := filepath.Join(dir, partName(1)+suffixDamaged)
	if err := os.Mkdir(aside, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(aside, "root.bolt"), make([]byte, MinBytes), 0o600); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, dir, small)
	deliver(t, s, monolog(0, 10), flush.Delivered)
	if st := s.Stats(); st.Damaged != 0 || st.Documents != 10 || st.Bytes > MinBytes {
		t.Errorf("stats %+v", st)
	}
}

// TestStore_DamageUnderway cuts the files of an open part short: reading them faults. K6.
func TestStore_DamageUnderway(t *testing.T) {
	for _, tt := range []struct {
		name string
		use  func(t *testing.T, s *Store, doc flush.Document)
	}{
		{"send", func(t *testing.T, s *Store, doc flush.Document) {
			deliver(t, s, []flush.Document{doc}, flush.Delivered) // its copy is lost
		}},
		{"get", func(t *testing.T, s *Store, doc flush.Document) {
			if _, ok, err := s.Get(t.Context(), doc.Index, doc.ID); ok || err != nil {
				t.Errorf("get: %v, %v", ok, err)
			}
		}},
		{"search", func(t *testing.T, s *Store, doc flush.Document) {
			res, err := s.Search(t.Context(), Query{Text: "request", Limit: 1})
			if err != nil || res.Total == 0 {
				t.Errorf("search: total %d, %v", res.Total, err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := openStore(t, dir, small)
			sent := fill(t, s, 0, 3)
			segments, err := filepath.Glob(filepath.Join(dir, partName(1), "*.zap"))
			if err != nil || len(segments) == 0 {
				t.Fatal("no segments", err)
			}
			for _, name := range segments {
				if err := os.Truncate(name, 0); err != nil {
					t.Fatal(err)
				}
			}
			tt.use(t, s, monolog(3, 1)[0])
			if st := s.Stats(); st.Damaged != 1 || st.Parts != 2 {
				t.Errorf("stats %+v", st)
			}
			deliver(t, s, monolog(sent, 5), flush.Delivered)
			if got := total(t, s, "*"); got != int(s.Stats().Documents) || got == 0 {
				t.Errorf("%d found, stats %+v", got, s.Stats())
			}
		})
	}
}

// TestStore_LibraryPanics lets the library report that a goroutine of the active index ended. The store
// goes on in another part; the next start finds everything.
func TestStore_LibraryPanics(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, small)
	deliver(t, s, monolog(0, 50), flush.Delivered)
	p := s.active()
	lost := p.index // the store never closes it
	reportFailure(scorch.NewScorchError("persister", "panic: for the test", scorch.ErrAsyncPanic), p.dir)
	deliver(t, s, monolog(50, 50), flush.Delivered)
	if got := total(t, s, "*"); got != 50 {
		t.Errorf("%d found after the panic, want 50", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := lost.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, small)
	if got := total(t, s, "*"); got != 100 || s.Stats().Damaged != 0 {
		t.Errorf("%d found after the next start, stats %+v; want 100", got, s.Stats())
	}
}
