package local

import (
	"unicode"
	"unicode/utf8"
)

// maxTokenBytes bounds one token; the rest of a longer word is not indexed. The same cut is made in
// queries, so that a long word finds itself.
const maxTokenBytes = 64

// ascii maps a byte to its lower case where it belongs to a token, else to 0.
var ascii = func() (t [utf8.RuneSelf]byte) {
	for c := byte('0'); c <= '9'; c++ {
		t[c] = c
	}
	for c := byte('a'); c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = c, c
	}
	return t
}()

// tokenizer cuts text into tokens: runs of letters and digits in lower case. Everything else parts
// them, also '.', '_' and '-': "workerEnv.init" is two tokens, so that "init" finds it, and a query
// that names both is a phrase. Scripts without spaces (Han, Hiragana, Katakana) give one token per
// character. Bytes that are no UTF-8 part tokens.
type tokenizer struct {
	text []byte
	buf  [maxTokenBytes + utf8.UTFMax]byte
}

// next returns the next token, valid until the call after; false at the end.
func (t *tokenizer) next() ([]byte, bool) {
	b, n := t.text, 0
	for i := 0; i < len(b); {
		if c := b[i]; c < utf8.RuneSelf {
			i++
			if l := ascii[c]; l == 0 {
				if n > 0 {
					t.text = b[i:]
					return t.buf[:n], true
				}
			} else if n < maxTokenBytes {
				t.buf[n] = l
				n++
			}
			continue
		}
		r, size := utf8.DecodeRune(b[i:])
		single := unspaced(r)
		if n > 0 && (single || !inToken(r)) {
			t.text = b[i:]
			return t.buf[:n], true
		}
		i += size
		if single {
			t.text = b[i:]
			return utf8.AppendRune(t.buf[:0], r), true
		}
		if inToken(r) {
			if l := unicode.ToLower(r); n+utf8.RuneLen(l) <= maxTokenBytes {
				n += utf8.EncodeRune(t.buf[n:], l)
			}
		}
	}
	t.text = nil
	return t.buf[:n], n > 0
}

func inToken(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r))
}

func unspaced(r rune) bool {
	const longVowel = 'ー' // of both kana, and so of neither script
	return r >= 0x2e80 && (r == longVowel || unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana))
}

// tokensOf returns all tokens of s, in order.
func tokensOf(s string) []string {
	t := tokenizer{text: []byte(s)}
	var tokens []string
	for tok, ok := t.next(); ok; tok, ok = t.next() {
		tokens = append(tokens, string(tok))
	}
	return tokens
}
