package stdlib

import "unicode/utf8"

// excerptBytes is how much of a text stands in a message.
const excerptBytes = 64

// Excerpt is the beginning of a text, for messages.
func Excerpt(s string) string {
	if len(s) <= excerptBytes {
		return s
	}
	n := excerptBytes
	for n > excerptBytes-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}
