package lua

import "testing"

func TestHashes(t *testing.T) {
	for _, tc := range []struct{ name, script string }{
		{"SHA-256", `assert(hash.sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")`},
		{"SHA-256 of a number is that of its text", `assert(hash.sha256(12) == hash.sha256("12"))`},
		{"SHA-256 of an exact number", `assert(hash.sha256(event.id) == hash.sha256("9007199254740993"))`},
		{"SHA-256 of bytes", `assert(hash.sha256("\0\255") ~= hash.sha256("\0"))`},
		{"xxHash", `assert(hash.xxh64("abc") == "44bc2cf5ad770999")`},
		{"base64", `assert(base64.encode("foob\255") == "Zm9vYv8=") assert(base64.decode("Zm9vYv8=") == "foob\255")`},
		{"base64 of URLs without padding", `assert(base64.decode("-_8") == "\251\255")`},
		{"base64 of nothing", `assert(base64.encode("") == "" and base64.decode("") == "")`},
		{"what is no base64", `local t, why = base64.decode("a b") assert(t == nil and why == "not base64: byte 2 is ' '", why)`},
		{"a UUID of a name", `assert(uuid.v5("www.example.com", "6ba7b810-9dad-11d1-80b4-00c04fd430c8") == "2ed6657d-e927-568b-95e1-2665a8aea6a2")`},
		{"a UUID without a namespace", `assert(uuid.v5("x") == uuid.v5("x", "00000000-0000-0000-0000-000000000000") and uuid.v5("x") ~= uuid.v5("y"))`},
		{"random UUIDs", `assert(#uuid.v4() == 36 and uuid.v4() ~= uuid.v4() and uuid.v4():sub(15, 15) == "4")`},
	} {
		t.Run(tc.name, func(t *testing.T) { sources(t, mustCompile(t, body(tc.script)), `{"id":9007199254740993}`) })
	}
}
