package stdlib

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/cespare/xxhash/v2"
)

// hashChunk is how much is hashed between two questions for time: some 200 µs without help of the processor.
const hashChunk = 64 << 10

// SHA256 returns the SHA-256 of text as 64 lower-case hexadecimal digits.
func SHA256(text []byte, spend Spend) string {
	if len(text) <= hashChunk {
		if !spend(8 + len(text)>>3) {
			return ""
		}
		sum := sha256.Sum256(text)
		return hex.EncodeToString(sum[:])
	}
	h := sha256.New()
	for len(text) > 0 {
		part := text[:min(len(text), hashChunk)]
		if !spend(len(part) >> 3) {
			return ""
		}
		h.Write(part) // a hash returns no error
		text = text[len(part):]
	}
	return hex.EncodeToString(h.Sum(nil))
}

// XXH64 returns the 64-bit xxHash of text, with seed 0, as 16 lower-case hexadecimal digits.
func XXH64(text []byte, spend Spend) string {
	if !spend(2 + len(text)>>7) {
		return ""
	}
	var sum [8]byte
	binary.BigEndian.PutUint64(sum[:], xxhash.Sum64(text))
	return hex.EncodeToString(sum[:])
}
