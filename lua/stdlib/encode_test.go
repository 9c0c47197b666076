package stdlib

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"regexp"
	"strings"
	"testing"
)

// free is a Spend without a limit.
func free(int) bool { return true }

// broke is a Spend of one that has nothing.
func broke(int) bool { return false }

func TestHashes_KnownValues(t *testing.T) {
	million := strings.Repeat("a", 1_000_000)
	for _, tc := range []struct {
		name, text, want string
		hash             func([]byte, Spend) string
	}{
		{"SHA-256 of nothing", "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", SHA256},
		{"SHA-256 of abc", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", SHA256},
		{"SHA-256 of a million letters, in parts", million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", SHA256},
		{"xxHash of nothing", "", "ef46db3751d8e999", XXH64},
		{"xxHash of abc", "abc", "44bc2cf5ad770999", XXH64},
		{"xxHash that begins with a zero keeps it", "363", "005cff848095736d", XXH64},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.hash([]byte(tc.text), free); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
	if SHA256([]byte(million), broke) != "" || XXH64(nil, broke) != "" {
		t.Error("a hash that nobody has paid for")
	}
}

func TestDecodeBase64(t *testing.T) {
	for _, tc := range []struct{ name, in, want, err string }{
		{"nothing", "", "", ""},
		{"standard", "Zm9vYg==", "foob", ""},
		{"without padding", "Zm9vYg", "foob", ""},
		{"one pad", "Zm9vYmE=", "fooba", ""},
		{"the alphabet of URLs", "-_-_", "\xfb\xff\xbf", ""},
		{"the standard alphabet", "+/+/", "\xfb\xff\xbf", ""},
		{"both alphabets at once", "+_-/", "\xfb\xff\xbf", ""},
		{"line breaks", "Zm9v\r\nYg==\n", "foob", ""},
		{"a foreign byte", "Zm9v*g==", "", "not base64: byte 5 is '*'"},
		{"white space", "Zm9v Yg", "", "not base64: byte 5 is ' '"},
		{"a byte that is no ASCII", "Zm9v\xff", "", `not base64: byte 5 is 'ÿ'`},
		{"text behind the padding", "Zg==Zg==", "", "not base64: byte 5 is 'Z'"},
		{"too little padding", "Zg=", "", errPadding.Error()},
		{"too much padding", "Zm9v====", "", errPadding.Error()},
		{"padding alone", "==", "", errPadding.Error()},
		{"cut off within a byte", "Zm9vY", "", errCutBase64.Error()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := DecodeBase64(tc.in, free)
			if tc.err == "" && (err != nil || string(got) != tc.want) {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
			if tc.err != "" && (err == nil || err.Error() != tc.err) {
				t.Errorf("error %v, want %s", err, tc.err)
			}
		})
	}
}

func FuzzBase64(f *testing.F) {
	for _, s := range []string{"", "a", "foob", "\xfb\xff\xbf", "Zm9v"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		text := EncodeBase64(b, free)
		if len(text) != EncodedSize(len(b)) {
			t.Fatalf("%d bytes became %d", len(b), len(text))
		}
		for _, spelled := range []string{text, strings.TrimRight(text, "="), base64.URLEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b)} {
			if got, err := DecodeBase64(spelled, free); err != nil || !bytes.Equal(got, b) {
				t.Fatalf("%q: got %q, %v, want %q", spelled, got, err, b)
			}
		}
		if out, err := DecodeBase64(string(b), free); err == nil && len(out) > len(b) {
			t.Fatalf("%q became %d bytes", b, len(out))
		}
	})
}

func TestUUID(t *testing.T) {
	const dns, url = "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b811-9dad-11d1-80b4-00c04fd430c8"
	for _, tc := range []struct{ name, text, space, want string }{
		{"a name in the space of host names", "www.example.com", dns, "2ed6657d-e927-568b-95e1-2665a8aea6a2"},
		{"a space in upper case", "www.example.com", strings.ToUpper(dns), "2ed6657d-e927-568b-95e1-2665a8aea6a2"},
		{"another space", "www.example.com", url, "b63cdfa4-3df9-568e-97ae-006c5b8fd652"},
		{"no space is the null UUID", "x", "", mustUUID(t, "x", "00000000-0000-0000-0000-000000000000")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := mustUUID(t, tc.text, tc.space); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
	if _, err := UUIDv5(nil, "dns", free); !errors.Is(err, ErrNamespace) {
		t.Errorf("a namespace that is no UUID: %v", err)
	}
	a, _ := UUIDv4(rand.Reader, free)
	b, _ := UUIDv4(rand.Reader, free)
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	if a == b || !form.MatchString(a) || !form.MatchString(b) {
		t.Errorf("random UUIDs %s and %s", a, b)
	}
}

func mustUUID(t *testing.T, name, space string) string {
	t.Helper()
	id, err := UUIDv5([]byte(name), space, free)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
