package local

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
)

// TestRangeTerms compares ranges of terms with comparing the values.
func TestRangeTerms(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func() uint64 {
		v := rng.Uint64() >> rng.IntN(64)
		switch rng.IntN(4) {
		case 0:
			return v << rng.IntN(64)
		case 1:
			return -v
		case 2:
			return v | 1<<rng.IntN(64) - 1
		}
		return v
	}
	check := func(kind byte, low, high, v uint64) {
		want := low <= v && v <= high
		hits := 0
		for _, tr := range rangeTerms(kind, low, high) {
			for _, n := range prefixesOf(kind) {
				term := appendValueTerm(nil, kind, v, n)
				if len(term) == len(tr.first) && bytes.Compare(tr.first, term) <= 0 && bytes.Compare(term, tr.last) <= 0 {
					hits++
				}
			}
		}
		if want != (hits > 0) || hits > 1 {
			t.Fatalf("kind %d: %#x in [%#x, %#x]: %d ranges hold it, want %v", kind, v, low, high, hits, want)
		}
	}
	for range 200_000 {
		kind := byte(kindNumber + rng.IntN(2))
		low, high := pick(), pick()
		for _, v := range []uint64{pick(), low, high, low - 1, high + 1, low + 1, high - 1, 0, math.MaxUint64} {
			check(kind, low, high, v)
		}
	}
	for _, edge := range [][2]uint64{{0, math.MaxUint64}, {0, 0}, {math.MaxUint64, math.MaxUint64}, {1, 0}} {
		for _, v := range []uint64{0, 1, math.MaxUint64} {
			check(kindTime, edge[0], edge[1], v)
		}
	}
}

func TestSortable_KeepsOrder(t *testing.T) {
	floats := []float64{math.Inf(-1), -1e308, -1, -1e-320, 0, 1e-320, 1, 1.5, 400, 1e308, math.Inf(1)}
	for i := 1; i < len(floats); i++ {
		if sortableFloat(floats[i-1]) >= sortableFloat(floats[i]) {
			t.Errorf("%v does not sort before %v", floats[i-1], floats[i])
		}
	}
	if sortableFloat(math.Copysign(0, -1)) != sortableFloat(0) {
		t.Error("-0 and 0 differ")
	}
	times := []time.Time{{}, time.Unix(-1, 0), time.Unix(0, 0), day, day.Add(1), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
	for i := 1; i < len(times); i++ {
		if sortableTime(times[i-1]) >= sortableTime(times[i]) {
			t.Errorf("%v does not sort before %v", times[i-1], times[i])
		}
	}
}

func TestOrder_RoundTrip(t *testing.T) {
	var last []byte
	for _, order := range []uint64{0, 1, 127, 128, orderOf(day, 1), orderOf(day, 2), orderOf(day.Add(time.Millisecond), 1), 1<<63 - 1} {
		term := appendOrder(nil, order)
		if len(term) != orderBytes || parseOrder(term) != order || bytes.IndexByte(term, 0xff) >= 0 {
			t.Errorf("order %d becomes %x", order, term)
		}
		if bytes.Compare(last, term) >= 0 && order != 0 {
			t.Errorf("order %d does not sort after the one before", order)
		}
		last = term
	}
	for _, odd := range []time.Time{{}, time.Unix(-1, 0), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if order := orderOf(odd, math.MaxUint64); order >= 1<<63 {
			t.Errorf("order of %v is %#x", odd, order)
		}
	}
}

func TestTokens(t *testing.T) {
	long := strings.Repeat("x", maxTokenBytes)
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{" \t.,-", nil},
		{"Hello, World", []string{"hello", "world"}},
		{"workerEnv.init() /etc/a_b-c", []string{"workerenv", "init", "etc", "a", "b", "c"}},
		{"10.0.0.1:8080", []string{"10", "0", "0", "1", "8080"}},
		{"ÄÖÜ straße naïve", []string{"äöü", "straße", "naïve"}},
		{"東京タワー2階", []string{"東", "京", "タ", "ワ", "ー", "2", "階"}},
		{"a\xffb\xc3", []string{"a", "b"}},
		{"a\x00b", []string{"a", "b"}},
		{"🙂smile🙂", []string{"smile"}},
		{long + "yyy z", []string{long, "z"}},
		{strings.Repeat("x", maxTokenBytes-1) + "éé z", []string{strings.Repeat("x", maxTokenBytes-1), "z"}},
	} {
		if got := tokensOf(tt.text); !slices.Equal(got, tt.want) {
			t.Errorf("%.40q: %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestParseTime(t *testing.T) {
	for _, tt := range []struct {
		text string
		want string // RFC 3339, "" for no time
		span time.Duration
	}{
		{"2026-11-20T10:00:01.258301+00:00", "2026-11-20T10:00:01.258301Z", 0},
		{"2026-11-20T10:00:01Z", "2026-11-20T10:00:01Z", time.Second},
		{"2026-11-20T10:00:01+0200", "2026-11-20T08:00:01Z", time.Second},
		{"2026-11-20 10:00:01", "2026-11-20T10:00:01Z", time.Second},
		{"2026-11-20 10:00:01.5+02:00", "2026-11-20T08:00:01.5Z", 0},
		{"2026-11-20", "2026-11-20T00:00:00Z", 24 * time.Hour},
		{"2026-13-20", "", 0},
		{"2026-11-20x", "", 0},
		{"2026-11-2", "", 0},
		{"", "", 0},
		{strings.Repeat("2026-11-20", 10), "", 0},
	} {
		got, span, ok := parseTime([]byte(tt.text))
		if ok != (tt.want != "") || ok && (got.UTC().Format(time.RFC3339Nano) != tt.want || span != tt.span) {
			t.Errorf("%q is %v, %v, %v", tt.text, got, span, ok)
		}
	}
}

func TestIDFilter(t *testing.T) {
	const n = 20_000
	f := newIDFilter(partSummary{Documents: n, Oldest: 7, Newest: 9})
	id := func(i int) string { return fmt.Sprintf("0123456789abcdef-%d\x00logs-weir-default", i) }
	for i := range n {
		f.add(id(i))
	}
	g, err := decodeIDFilter(f.encode())
	if err != nil || g.summary != f.summary {
		t.Fatalf("%+v, %v", g, err)
	}
	wrong := 0
	for i := range n {
		if !g.mayHold(id(i)) {
			t.Fatalf("%s is ruled out", id(i))
		}
		if g.mayHold(id(n + i)) {
			wrong++
		}
	}
	if wrong > n*3/100 {
		t.Errorf("%d of %d unknown ids are not ruled out", wrong, n)
	}
	enc := f.encode()
	for i := 0; i < len(enc); i += 101 {
		enc[i] ^= 1
		if _, err := decodeIDFilter(enc); err == nil {
			t.Errorf("damage at byte %d is not noticed", i)
		}
		enc[i] ^= 1
	}
	for _, size := range []int{0, 8, filterHeader, filterHeader + 4, len(enc) - 1} {
		if _, err := decodeIDFilter(enc[:size]); err == nil {
			t.Errorf("a filter cut to %d bytes is taken", size)
		}
	}
}

func FuzzDecodeStored(f *testing.F) {
	doc := event(1, `{"a":1}`)
	f.Add(appendStored(nil, &doc))
	f.Add([]byte{storedVersion, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		received, stream, source, err := decodeStored(b)
		if err != nil {
			return
		}
		again := appendStored(nil, &flush.Document{ReceivedAt: received, Stream: string(stream), Source: source})
		if _, s2, o2, err := decodeStored(again); err != nil || !bytes.Equal(stream, s2) || !bytes.Equal(source, o2) {
			t.Errorf("%x does not survive: %x, %v", b, again, err)
		}
	})
}

func BenchmarkStore_Send(b *testing.B) {
	for _, batch := range []int{1, 100, 5000} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			s := openStore(b, b.TempDir())
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				docs := monolog(n, batch)
				n += batch
				b.StartTimer()
				deliver(b, s, docs, flush.Delivered)
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "docs/s")
			b.ReportMetric(float64(s.Stats().Bytes)/float64(n), "B/doc")
		})
	}
}
