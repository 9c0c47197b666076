package stdlib

import (
	"strings"
	"unicode/utf8"
)

// excerptBytes is how much of a text stands in a message.
const excerptBytes = 64

// Excerpt is the beginning of a text, for messages.
func Excerpt(s string) string { return Shorten(s, excerptBytes) }

// Shorten makes a text in UTF-8 of at most limit bytes of one that may come from an event, and says when it was cut.
func Shorten(s string, limit int) string {
	text, whole := Cut(s, limit)
	if !whole {
		text += "..."
	}
	return text
}

// Cut makes a text in UTF-8 of at most limit bytes; whole is false when that is not all of it.
func Cut(s string, limit int) (text string, whole bool) {
	text = strings.ToValidUTF8(s[:min(len(s), limit+utf8.UTFMax)], "\uFFFD")
	if len(text) <= limit {
		return text, len(s) <= limit+utf8.UTFMax
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit], false
}
