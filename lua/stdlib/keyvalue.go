package stdlib

import (
	"errors"
	"strings"
)

const space = " \t\n\v\f\r"

// Pairs reads a text such as a=1 b="x y", pair by pair. What is no pair is skipped, so every text has some
// number of pairs, perhaps none. The whole text is read once.
type Pairs struct {
	text   string
	at     int
	pairs  string // between pairs; "" is white space
	values string // between name and value
	spend  Spend
	open   [2]bool // a quote of this kind is not closed any more
}

// NewPairs reads text. pairs stands between pairs, "" for white space; values between a name and its value.
func NewPairs(text, pairs, values string, spend Spend) (*Pairs, error) {
	if values == "" {
		return nil, errors.New("what stands between names and values must not be empty")
	}
	if strings.ContainsAny(pairs+values, "\"\\'") {
		return nil, errors.New("what stands between pairs, or names and values, must not be a quote or a backslash")
	}
	return &Pairs{text: text, pairs: pairs, values: values, spend: spend}, nil
}

// Next returns the next pair; ok is false at the end of the text, or when spend has said that there is no time.
func (p *Pairs) Next() (name, value string, ok bool) {
	for p.at < len(p.text) {
		piece := p.text[p.at:]
		if end := p.separator(piece); end >= 0 {
			piece = piece[:end]
		}
		if !p.spend(1 + len(piece)>>4) {
			break
		}
		name, value, found := strings.Cut(piece, p.values)
		if name = strings.TrimSpace(name); !found || name == "" {
			p.skip(p.at + len(piece))
			continue
		}
		from := p.at + len(piece) - len(value)
		if quoted, end, ok := p.quoted(from); ok {
			p.skip(end)
			return name, quoted, true
		}
		p.skip(p.at + len(piece))
		return name, strings.TrimSpace(value), true
	}
	return "", "", false
}

// separator is the index of what ends the pair at the beginning of s, -1 where it is the last.
func (p *Pairs) separator(s string) int {
	if p.pairs == "" {
		return strings.IndexAny(s, space)
	}
	return strings.Index(s, p.pairs)
}

func (p *Pairs) atSeparator(i int) bool {
	if p.pairs == "" {
		return strings.IndexByte(space, p.text[i]) >= 0
	}
	return strings.HasPrefix(p.text[i:], p.pairs)
}

// skip goes behind the separator at end.
func (p *Pairs) skip(end int) {
	p.at = min(end+max(len(p.pairs), 1), len(p.text))
}

// quoted reads a value in quotes at text[from:] and returns the end of it. A quote that is not closed, or
// whose end is not the end of the value, is a character like others.
func (p *Pairs) quoted(from int) (value string, end int, ok bool) {
	for from < len(p.text) && p.text[from] == ' ' && p.pairs != "" {
		from++
	}
	if from == len(p.text) {
		return "", 0, false
	}
	quote := p.text[from]
	kind := strings.IndexByte(`"'`, quote)
	if kind < 0 || p.open[kind] {
		return "", 0, false
	}
	length, escaped := closing(p.text[from+1:], quote)
	if length < 0 {
		p.open[kind] = true // so that the rest of the text is not searched for every such quote
		return "", 0, false
	}
	value, end = p.text[from+1:from+1+length], from+length+2
	if p.pairs != "" {
		end += len(p.text[end:]) - len(strings.TrimLeft(p.text[end:], " "))
	}
	if end < len(p.text) && !p.atSeparator(end) {
		return "", 0, false
	}
	if escaped {
		value = unescaper.Replace(value)
	}
	return value, end, true
}

var unescaper = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\'`, `'`)

// closing is the index of the quote that closes a value, -1 without one. A backslash takes away its meaning.
func closing(s string, quote byte) (index int, escaped bool) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case quote:
			return i, escaped
		case '\\':
			escaped = true
			i++
		}
	}
	return -1, escaped
}
