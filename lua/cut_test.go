package lua

import (
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/lua/stdlib"
)

// TestMessages_StayText: what is cut stays text, also where a character is cut that is several bytes long.
func TestMessages_StayText(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"short enough", "abcdé", "abcdé"}, {"empty", "", ""}, {"longer", "abcdefgh", "abcdef..."},
		{"in the middle of a character", "abcd😀😀", "abcd..."}, {"bytes that are no text", "\x80\x80\x80\x80\x80\x80\x80", "\uFFFD"},
	} {
		if got := stdlib.Shorten(tc.text, 6); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	tr, _ := open(t, `function transform(event, meta) error(string.rep("\240\159\152\128", 1000), 0) end`, Options{Logger: quietLogger()})
	_, err := tr.Transform(t.Context(), record(`{}`))
	var te *flush.TransformError
	if !errors.As(err, &te) || !utf8.ValidString(te.Message) || len(te.Message) < maxMessage {
		t.Errorf("%q", err)
	}
}
