package elastic

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"

	"github.com/weirlog/weir/flush"
)

var update = flag.Bool("update", false, "rewrite golden files")

// goldenDocuments cover every field of an action line and every kind of source.
func goldenDocuments() []flush.Document {
	return []flush.Document{
		{Index: "logs-weir-default", ID: "00000000c0ffee00-1", Source: []byte(`{"a":1}`)},
		{Index: "logs-weir-default", ID: "00000000c0ffee00-1-1", Source: []byte(`{"f":1.0,"i":18446744073709551616,"e":1e400}`)},
		{Index: "logs-a", ID: "x", Pipeline: "p", Source: []byte(`{}`)},
		{Index: "logs-a", ID: "y", Routing: "r", Source: []byte(`{}`)},
		{Index: "logs-a", ID: "z", Pipeline: "p q", Routing: "r\ts", Source: []byte(`{}`)},
		{Index: "logs-a", Source: []byte(`{"no":"id"}`)},
		{Index: `q"i\`, ID: "é漢🦊 \n\x00\xff</script>\u2028", Source: []byte(`{"k":1,"k":2}`)},
		{Index: "logs-a", ID: "lines", Source: []byte("{\r\n  \"a\":\n[1,\r2]\n}\n")},
		{Index: "logs-a", ID: "escapes", Source: []byte(`{"a":"\n\r\u000a","b":"` + "é漢🦊" + `"}`)},
		{Index: "", ID: "empty", Source: nil},
	}
}

func encodeAll(t testing.TB, docs []flush.Document, compression Compression) ([]byte, int64) {
	t.Helper()
	sc := new(scratch)
	b, err := encode(docs, sc, compression)
	if err != nil {
		t.Fatal(err)
	}
	defer b.release()
	body, err := io.ReadAll(b.reader())
	if err != nil {
		t.Fatal(err)
	}
	return body, b.size
}

func TestBulk_Golden(t *testing.T) {
	got, size := encodeAll(t, goldenDocuments(), CompressionNone)
	if int64(len(got)) != size {
		t.Errorf("size is %d, the body has %d bytes", size, len(got))
	}
	path := filepath.Join("testdata", "bulk.ndjson")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("body is\n%s\nwant\n%s", got, want)
	}
	lines := strings.Split(strings.TrimSuffix(string(got), "\n"), "\n")
	if len(lines) != 2*len(goldenDocuments()) {
		t.Fatalf("%d lines for %d documents", len(lines), len(goldenDocuments()))
	}
	for i := 0; i < len(lines); i += 2 {
		if !json.Valid([]byte(lines[i])) {
			t.Errorf("action line is no JSON: %s", lines[i])
		}
	}
}

// TestBulk_NeighboursDiffer: what lines have in common with the one before is taken over, and nothing else.
func TestBulk_NeighboursDiffer(t *testing.T) {
	var docs []flush.Document
	var want strings.Builder
	for _, index := range []string{"a", "b", "a"} {
		for _, op := range []flush.Op{"", flush.OpCreate, flush.OpIndex, ""} {
			for _, id := range []string{"1", ""} {
				docs = append(docs, flush.Document{Index: index, Op: op, ID: id, Source: []byte("{}")})
				want.WriteString(`{"` + cmp.Or(string(op), "create") + `":{"_index":"` + index + `"`)
				if id != "" {
					want.WriteString(`,"_id":"1"`)
				}
				want.WriteString("}}\n{}\n")
			}
		}
	}
	if got, _ := encodeAll(t, docs, CompressionNone); string(got) != want.String() {
		t.Errorf("body is\n%s\nwant\n%s", got, want.String())
	}
}

func TestBulk_SameBytesAgain(t *testing.T) {
	for _, compression := range []Compression{CompressionNone, CompressionGzip} {
		first, _ := encodeAll(t, goldenDocuments(), compression)
		second, _ := encodeAll(t, goldenDocuments(), compression)
		if !bytes.Equal(first, second) {
			t.Errorf("%s: the same documents gave different bytes", compression)
		}
	}
}

func TestBulk_Gzip(t *testing.T) {
	packed, size := encodeAll(t, goldenDocuments(), CompressionGzip)
	if int64(len(packed)) != size {
		t.Errorf("size is %d, the body has %d bytes", size, len(packed))
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := encodeAll(t, goldenDocuments(), CompressionNone); !bytes.Equal(got, want) {
		t.Errorf("unpacked body is\n%s\nwant\n%s", got, want)
	}
}

// Connections read in pieces of any size.
func TestBodyReader_AnySizeOfReads(t *testing.T) {
	want, _ := encodeAll(t, goldenDocuments(), CompressionNone)
	b, err := encode(goldenDocuments(), new(scratch), CompressionNone)
	if err != nil {
		t.Fatal(err)
	}
	defer b.release()
	if err := iotest.TestReader(b.reader(), want); err != nil {
		t.Error(err)
	}
	for _, seed := range []uint64{1, 2, 3} {
		rnd := rand.New(rand.NewPCG(seed, 0))
		r := b.reader()
		var got []byte
		for {
			p := make([]byte, 1+rnd.IntN(40))
			n, err := r.Read(p)
			got = append(got, p[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("seed %d: body is\n%s\nwant\n%s", seed, got, want)
		}
	}
}

func TestBodyReader_AfterRelease(t *testing.T) {
	for _, compression := range []Compression{CompressionNone, CompressionGzip} {
		b, err := encode(goldenDocuments(), new(scratch), compression)
		if err != nil {
			t.Fatal(err)
		}
		r := b.reader()
		if _, err := r.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		b.release()
		if n, err := r.Read(make([]byte, 10)); n != 0 || err != errBodyReleased {
			t.Errorf("%s: read after release gave %d bytes, %v", compression, n, err)
		}
		again, err := b.again()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := again.Read(make([]byte, 10)); n != 0 || err != errBodyReleased {
			t.Errorf("%s: a new reader after release gave %d bytes, %v", compression, n, err)
		}
	}
}

// Close by one connection must not end the reading by the next.
func TestBodyReader_AgainAfterClose(t *testing.T) {
	want, _ := encodeAll(t, goldenDocuments(), CompressionNone)
	b, err := encode(goldenDocuments(), new(scratch), CompressionNone)
	if err != nil {
		t.Fatal(err)
	}
	defer b.release()
	first := b.reader()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("a closed reader still reads")
	}
	second, err := b.again()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(second); err != nil || !bytes.Equal(got, want) {
		t.Errorf("second reader gave %d of %d bytes, %v", len(got), len(want), err)
	}
}

func FuzzBulk(f *testing.F) {
	f.Add("logs", "id", "p", "r", []byte("{\n}"), 3)
	f.Add("\"\\\xff", "", "", "\n", []byte(nil), 1)
	f.Fuzz(func(t *testing.T, index, id, pipeline, routing string, source []byte, chunk int) {
		docs := []flush.Document{{Index: index, ID: id, Pipeline: pipeline, Routing: routing, Source: source}}
		docs = append(docs, docs[0])
		kept := string(source)
		b, err := encode(docs, new(scratch), CompressionNone)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if _, err := io.CopyBuffer(struct{ io.Writer }{&got}, b.reader(), make([]byte, 1+max(0, chunk)%100)); err != nil {
			t.Fatal(err)
		}
		if int64(got.Len()) != b.size {
			t.Fatalf("size is %d, the body has %d bytes", b.size, got.Len())
		}
		lines := strings.Split(got.String(), "\n")
		if len(lines) != 5 || lines[4] != "" || lines[0] != lines[2] || lines[1] != lines[3] {
			t.Fatalf("two equal documents became %q", lines)
		}
		var action struct{ Create map[string]string }
		if err := json.Unmarshal([]byte(lines[0]), &action); err != nil {
			t.Fatalf("action line %q: %v", lines[0], err)
		}
		for name, want := range map[string]string{"_index": index, "_id": id, "pipeline": pipeline, "routing": routing} {
			if got := action.Create[name]; got != sentID(want) {
				t.Errorf("%s is %q, want %q", name, got, sentID(want))
			}
		}
		if string(source) != kept {
			t.Error("the source was changed")
		}
	})
}
