package lua

import (
	"strings"
	"unicode/utf8"
)

// maxMessage bounds the text of an error that a script raised.
const maxMessage = 1024

// cut shortens a message.
func cut(s string) string { return cutText(s, maxMessage) }

// cutText makes a text in UTF-8 of one that may come from an event, and says when it was cut.
func cutText(s string, limit int) string {
	text, whole := cutUTF8(s, limit)
	if !whole {
		text += "..."
	}
	return text
}

// cutUTF8 makes a text in UTF-8 of at most limit bytes; whole is false when that is not all of it.
func cutUTF8(s string, limit int) (text string, whole bool) {
	text = strings.ToValidUTF8(s[:min(len(s), limit+utf8.UTFMax)], "\uFFFD")
	if len(text) <= limit {
		return text, len(s) <= limit+utf8.UTFMax
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit], false
}
