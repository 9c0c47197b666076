package stdlib

import (
	"encoding/base64"
	"errors"
	"fmt"
)

// EncodedSize is the length of what EncodeBase64 makes of n bytes.
func EncodedSize(n int) int { return base64.StdEncoding.EncodedLen(n) }

// EncodeBase64 returns text in the standard alphabet, with padding.
func EncodeBase64(text []byte, spend Spend) string {
	if !spend(2 + len(text)>>5) {
		return ""
	}
	return base64.StdEncoding.EncodeToString(text)
}

var (
	errPadding   = errors.New("not base64: the padding does not fit the length")
	errCutBase64 = errors.New("not base64: it ends within a byte")
	base64Letter = setOf(alphanumeric + "+/")
)

// DecodeBase64 reads the standard alphabet and that for URLs, also mixed, with padding or without. Line breaks are
// passed over. It takes memory for less than twice the length of text. The error is for people.
func DecodeBase64(text string, spend Spend) ([]byte, error) {
	if !spend(2 + len(text)>>4) {
		return nil, nil
	}
	letters, pads := make([]byte, 0, len(text)), 0
	for i := range len(text) {
		c := text[i]
		switch c {
		case '\n', '\r':
			continue
		case '=':
			pads++
			continue
		case '-':
			c = '+'
		case '_':
			c = '/'
		}
		if pads > 0 || !base64Letter[c] {
			return nil, fmt.Errorf("not base64: byte %d is %q", i+1, text[i])
		}
		letters = append(letters, c)
	}
	switch {
	case pads > 2 || pads > 0 && (len(letters)+pads)%4 != 0:
		return nil, errPadding
	case len(letters)%4 == 1:
		return nil, errCutBase64
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(letters)))
	_, err := base64.RawStdEncoding.Decode(out, letters)
	return out, err
}
