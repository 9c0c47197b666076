package stdlib

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Kinds are kinds of what a Redactor hides, as a set.
type Kinds uint8

// The kinds. What exactly is recognised stands at the top of mail.go, card.go and token.go.
const (
	Mails Kinds = 1 << iota
	Cards
	Tokens
	AllKinds = Mails | Cards | Tokens
)

// KindsNamed returns the kind that scripts call name: mail, card or token.
func KindsNamed(name string) (Kinds, error) {
	switch name {
	case "mail":
		return Mails, nil
	case "card":
		return Cards, nil
	case "token":
		return Tokens, nil
	}
	return 0, fmt.Errorf("there is no kind %q; mail, card and token can be hidden", name)
}

// Removed takes the place of the value of a field that a Redactor removes, Card that of a number.
const (
	Removed = "<removed>"
	Card    = cardMark
)

// A Redactor knows what is to be hidden. It never changes and may be used by any number of goroutines.
type Redactor struct {
	kinds  Kinds
	fields []string // in lower case
	odd    bool     // a name of fields may be spelled with short escapes, such as \/
	pairs  pairSet  // without one of these a text has nothing to hide, cards aside
}

// NewRedactor makes a Redactor for kinds and for fields of these names; the case of ASCII letters in them does not
// matter.
func NewRedactor(kinds Kinds, fields []string) *Redactor {
	r := &Redactor{kinds: kinds}
	r.pairs.add('\\', 'u')
	if kinds&Mails != 0 {
		addMailPairs(&r.pairs)
	}
	if kinds&Tokens != 0 {
		addTokenPairs(&r.pairs)
	}
	for _, name := range fields {
		r.addField(name)
	}
	return r
}

func (r *Redactor) addField(name string) {
	folded := []byte(name)
	for i, c := range folded {
		folded[i] = toLower(c)
		r.odd = r.odd || c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '/'
	}
	r.fields = append(r.fields, string(folded))
	last := byte('"') // of the name "" it is the opening quote
	if len(folded) > 0 {
		last = folded[len(folded)-1]
	}
	r.pairs.add(last, '"')
	r.pairs.add(toUpper(last), '"')
}

// HasFields reports whether there are fields to remove.
func (r *Redactor) HasFields() bool { return len(r.fields) > 0 }

// Removes reports whether the value of the field name is removed.
func (r *Redactor) Removes(name []byte) bool {
	return slices.ContainsFunc(r.fields, func(f string) bool { return equalFold(name, f) })
}

// Suspicious reports whether a closer look at JSON text is worth while. When it is false there is nothing to hide in
// any string or number in it, and no field to remove; when it is true there may be nothing either. It is quick. Of a
// text that is not JSON it says the same.
func (r *Redactor) Suspicious(json []byte, spend Spend) bool {
	if r.odd && bytes.IndexByte(json, '\\') >= 0 {
		return true
	}
	for from := 1; from < len(json); from += scanChunk {
		to := min(from+scanChunk, len(json))
		if !spend(1+(to-from)>>5) || r.noticed(json, from, to) {
			return true
		}
	}
	return r.kinds&Cards != 0 && mayHoldCard(json, spend)
}

// scanChunk is how much is looked through between two questions for time.
const scanChunk = 64 << 10

// noticed looks at the pairs that end from from up to to.
func (r *Redactor) noticed(s []byte, from, to int) bool {
	before := s[from-1]
	for i := from; i < to; i++ {
		c := s[i]
		if r.pairs.has(before, c) && r.mayHide(s, i) {
			return true
		}
		before = c
	}
	return false
}

// mayHide looks around the pair that ends at i.
func (r *Redactor) mayHide(s []byte, i int) bool {
	switch {
	case s[i-1] == '\\' && s[i] == 'u':
		// An escape for a visible ASCII character, which nobody needs but to hide one; \u00e9 is no such.
		return i+3 < len(s) && s[i+1] == '0' && s[i+2] == '0' && s[i+3] >= '2' && s[i+3] <= '7'
	case s[i] == '"':
		return r.closesName(s, i)
	case r.kinds&Mails != 0 && (s[i] == '@' || s[i-1] == '%' && s[i] == '4'):
		return mayBeMail(s, i)
	}
	return r.kinds&Tokens != 0 && mayBeToken(s, i)
}

// closesName reports whether the quote at i ends a name whose field is removed.
func (r *Redactor) closesName(s []byte, i int) bool {
	for behind := i + 1; ; behind++ {
		if behind == len(s) {
			return false
		}
		if s[behind] == ':' {
			break
		}
		if !strings.ContainsRune(" \t\r\n", rune(s[behind])) {
			return false
		}
	}
	for _, name := range r.fields {
		from := i - len(name)
		if from > 0 && s[from-1] == '"' && equalFold(s[from:i], name) {
			return true
		}
	}
	return false
}

// Number reports whether a JSON number, or the JSON spelling of one, is a card.
func (r *Redactor) Number(raw []byte) bool { return r.kinds&Cards != 0 && cardNumber(raw) }

// Room is memory that Text works in. The zero value is ready; it serves one call at a time.
type Room struct{ a, b []byte }

// keptRoom is how much memory a Room keeps from call to call.
const keptRoom = 64 << 10

// Text returns text with what is to be hidden replaced, tokens first, then mail addresses, then cards, and how many
// there were. It is never longer than text. With none it is text itself; otherwise it is valid until the next call with
// room.
func (r *Redactor) Text(text []byte, room *Room, spend Spend) ([]byte, int) {
	if cap(room.a)+cap(room.b) > keptRoom {
		room.a, room.b = nil, nil
	}
	found := 0
	for _, pass := range []struct {
		kind Kinds
		hide func(dst, s []byte, spend Spend) ([]byte, int)
	}{{Tokens, hideTokens}, {Mails, hideMails}, {Cards, hideCards}} {
		if r.kinds&pass.kind == 0 {
			continue
		}
		out, n := pass.hide(room.a[:0], text, spend)
		if n > 0 {
			found += n
			text = out
			room.a, room.b = room.b, out
		}
	}
	return text, found
}
