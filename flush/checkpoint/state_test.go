package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirlog/weir/wal"
)

var update = flag.Bool("update", false, "rewrite golden files")

func someState() state {
	return state{epoch: 0x0123456789abcdef, streams: map[string]Position{
		"default": {Epoch: 0x0123456789abcdef, Offset: 42},
		"audit":   {Epoch: 7, Offset: 1 << 40},
	}, durable: 4711}
}

// TestDecodeState_Version1 reads what the first version wrote, for ever.
func TestDecodeState_Version1(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "state-v1.hex"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	s, err := decodeState(b)
	if err != nil || s.epoch != someState().epoch || !maps.Equal(s.streams, someState().streams) || s.durable != 0 {
		t.Fatalf("decoded %+v, %v", s, err)
	}
}

func TestState_Encode_IsGolden(t *testing.T) {
	path := filepath.Join("testdata", "state-v2.hex")
	got := hex.EncodeToString(someState().encode()) + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Fatalf("encoded\n%swant\n%s", got, want)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(want)))
	if err != nil {
		t.Fatal(err)
	}
	s, err := decodeState(b)
	if err != nil || s.epoch != someState().epoch || !maps.Equal(s.streams, someState().streams) || s.durable != 4711 {
		t.Fatalf("decoded %+v, %v", s, err)
	}
}

func TestDecodeState_AnyFlippedBit_IsNoticed(t *testing.T) {
	b := someState().encode()
	for i := range len(b) * 8 {
		b[i/8] ^= 1 << (i % 8)
		if _, err := decodeState(b); !errors.Is(err, errState) {
			t.Fatalf("bit %d: %v", i, err)
		}
		b[i/8] ^= 1 << (i % 8)
	}
	for n := range b {
		if _, err := decodeState(b[:n]); !errors.Is(err, errState) {
			t.Fatalf("first %d bytes: %v", n, err)
		}
	}
}

func TestDecodeState_NewerVersion_IsNamed(t *testing.T) {
	b := append([]byte{0, 9}, "something that only a later version knows"...)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	if _, err := decodeState(b); !errors.Is(err, wal.ErrNewerFormat) {
		t.Fatal(err)
	}
}

// FuzzDecodeState decodes anything: what is accepted encodes to what is read as the same. xor alters one byte of the golden
// state, which is never accepted then.
func FuzzDecodeState(f *testing.F) {
	golden := someState().encode()
	f.Add(golden, uint16(0), byte(1))
	f.Add(state{}.encode(), uint16(20), byte(0x80))
	f.Fuzz(func(t *testing.T, b []byte, at uint16, xor byte) {
		altered := bytes.Clone(golden)
		altered[int(at)%len(altered)] ^= xor
		if _, err := decodeState(altered); (err == nil) != (xor == 0) {
			t.Fatalf("byte %d altered by %x: %v", int(at)%len(altered), xor, err)
		}
		if len(b) >= 4 { // give every input a good checksum, or the fuzzer never gets past it
			b = binary.BigEndian.AppendUint32(b[:len(b)-4:len(b)-4], crc32.Checksum(b[:len(b)-4], castagnoli))
		}
		s, err := decodeState(b)
		if err != nil {
			return
		}
		again, err := decodeState(s.encode())
		if err != nil || again.epoch != s.epoch || again.durable != s.durable || !maps.Equal(again.streams, s.streams) {
			t.Fatalf("%+v became %+v, %v", s, again, err)
		}
	})
}
