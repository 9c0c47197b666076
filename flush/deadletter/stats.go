package deadletter

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/weirlog/weir/flush"
)

// Group is letters that have the same trouble.
type Group struct {
	Stage   flush.Stage `json:"stage"`
	Status  int         `json:"status,omitempty"`
	Type    string      `json:"type"`
	Index   string      `json:"index,omitempty"`
	Stream  string      `json:"stream"`
	Field   string      `json:"field,omitempty"`  // that the reason names
	Wanted  string      `json:"wanted,omitempty"` // type of the field in the mapping, as far as the reason says
	Reason  string      `json:"reason"`           // normalised: what differs from letter to letter is left out
	Count   int         `json:"count"`
	Bytes   int64       `json:"bytes"`
	First   time.Time   `json:"first"`
	Last    time.Time   `json:"last"`
	Example flush.Key   `json:"example"`
	// Remedies are Lua for a replay's patch, the best first. They are made for the example, and fit letters that look like it.
	Remedies []Remedy `json:"remedies,omitempty"`
	Advice   string   `json:"advice,omitempty"` // what else to do
}

// remedyGroups is for how many groups, the largest, Propose reads an example.
const remedyGroups = 50

// maxGroups bounds the memory of Stats; what comes later joins a group without reason.
const maxGroups = 5000

// Stats groups the letters that the filter chooses, the largest group first. It reads the index only.
func (s *Store) Stats(ctx context.Context, f Filter) ([]Group, error) {
	type trouble struct {
		stage                      flush.Stage
		status                     int
		typ, index, stream, reason string
		field, wanted              string
	}
	groups := map[trouble]*Group{}
	for e, err := range s.List(ctx, f) {
		if err != nil {
			return nil, err
		}
		c := ParseReason(e.Type, e.Reason)
		t := trouble{e.Stage, e.Status, e.Type, e.Index, e.Stream, NormaliseReason(e.Reason), c.Field, c.Wanted}
		g := groups[t]
		if g == nil && len(groups) >= maxGroups {
			t = trouble{stage: e.Stage, reason: "(others)"}
			g = groups[t]
		}
		if g == nil {
			g = &Group{Stage: t.stage, Status: t.status, Type: t.typ, Index: t.index, Stream: t.stream, Field: t.field, Wanted: t.wanted, Reason: t.reason, First: e.FirstAt, Example: e.Key}
			groups[t] = g
		}
		g.Count++
		g.Bytes += e.bytes
		if e.FirstAt.Before(g.First) {
			g.First = e.FirstAt
		}
		if e.LastAt.After(g.Last) {
			g.Last = e.LastAt
		}
	}
	all := make([]Group, 0, len(groups))
	for _, g := range groups {
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), a.First.Compare(b.First), strings.Compare(a.Reason, b.Reason), strings.Compare(a.Field, b.Field))
	})
	return all, nil
}

// Propose fills in the remedies and the advice of groups, for the first ones. It reads an example of each.
func (s *Store) Propose(groups []Group) {
	for i := range groups[:min(len(groups), remedyGroups)] {
		s.propose(&groups[i])
	}
}

// propose looks at the example of a group. One that cannot be read, or was settled meanwhile, only makes the proposal less exact.
func (s *Store) propose(g *Group) {
	if g.Type == "" {
		return // letters of several kinds
	}
	l, err := s.get(g.Example)
	if err != nil {
		l = Letter{Letter: flush.Letter{Type: g.Type, Reason: g.Reason}}
	}
	c := ParseReason(g.Type, l.Reason)
	if g.Stage == flush.StageIndex {
		refused := l.Document
		if refused == nil {
			refused = l.Event
		}
		g.Remedies = remedies(c, g.Type, l.Reason, refused)
	}
	g.Advice = advice(g.Stage, g.Type, c)
	if len(g.Remedies) > 0 && c.Kind != CauseLimit {
		g.Advice = ""
	}
}

// NormaliseReason replaces what differs between letters of one cause: quoted values by '…' and runs of digits, or of
// hexadecimal digits of which at least one is a decimal one, by N. Names of fields in brackets stay.
func NormaliseReason(reason string) string {
	// What follows quotes the document, and may hold quotes itself.
	if head, tail, ok := strings.Cut(reason, " in document with id '"); ok {
		reason = head + " in document with id 'X'"
		if strings.Contains(tail, "'. Preview of field's value: '") {
			reason += ". Preview of field's value: 'X'"
		}
	}
	var b strings.Builder
	b.Grow(len(reason))
	for i := 0; i < len(reason); {
		c := reason[i]
		switch {
		case c == '\'' || c == '"':
			end := strings.IndexByte(reason[i+1:], c)
			if end < 0 && i > 0 && isWord(reason[i-1]) { // an apostrophe
				b.WriteByte(c)
				i++
				continue
			}
			if end > 0 && c == '\'' && i > 0 && isWord(reason[i-1]) {
				b.WriteByte(c)
				i++
				continue
			}
			b.WriteString("'…'")
			if end < 0 { // cut off in the middle
				return b.String()
			}
			i += end + 2
		case isWord(c):
			end := i
			for end < len(reason) && isWord(reason[end]) {
				end++
			}
			b.WriteString(normaliseWord(reason[i:end]))
			i = end
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String()
}

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

// normaliseWord replaces a hexadecimal word, or the runs of digits in any other.
func normaliseWord(w string) string {
	digits, hex := 0, len(w) >= 8
	for i := range len(w) {
		c := w[i]
		if c >= '0' && c <= '9' {
			digits++
		} else if !(c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
			hex = false
		}
	}
	if digits == 0 {
		return w
	}
	if hex {
		return "N"
	}
	var b strings.Builder
	for i := 0; i < len(w); i++ {
		if w[i] < '0' || w[i] > '9' {
			b.WriteByte(w[i])
			continue
		}
		b.WriteByte('N')
		for i+1 < len(w) && w[i+1] >= '0' && w[i+1] <= '9' {
			i++
		}
	}
	return b.String()
}
