package flush

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weirlog/weir/flush/rawjson"
	"github.com/weirlog/weir/wal"
)

// Route says where the documents of a stream go by default and what is filled in.
type Route struct {
	// Index is the stream's index, alias or data stream. "{stream}" in it stands for the stream's name, and a
	// date written as Go writes it (2006.01.02, see DatePattern) for the day of receipt in UTC.
	Index string
	// Pipeline is the ingest pipeline of documents whose script chose none; "" for none.
	Pipeline string
	// Op of the documents; "" is OpCreate.
	Op Op
	// IDs says where document ids come from; "" is IDAuto.
	IDs IDMode
	// AllowedIndices are the patterns ("*" stands for any run of characters) that an index chosen by a
	// script must match, besides Index itself.
	AllowedIndices []string
	// Timestamp: a document without "@timestamp" gets one at its end.
	Timestamp bool
	// VersionField is the top-level member that names, in every document that a script made, the script's version; "" for none.
	// A document that has it keeps its own.
	VersionField string
	// IDField is the top-level member of the event, a string or a number, that names the document; ""
	// for none. See IDs for events without it.
	IDField string

	last *atomic.Pointer[namedIndex] // nil where names are made too seldom to be remembered
}

// IDMode says where document ids come from.
type IDMode string

// The modes.
const (
	// IDAuto: from IDField where it is set and the event has it, else from epoch and offset.
	IDAuto IDMode = "auto"
	// IDField: from IDField only; an event without it is a dead letter.
	IDField IDMode = "field"
	// IDNone: the destination makes ids. Faster there, and a document that is sent again is stored again.
	IDNone IDMode = "none"
)

// TypeIndexNotAllowed is the type of the fault that a script chose an index which it must not.
const TypeIndexNotAllowed = "index_not_allowed"

// Prepare fills in what a Transformer left open: key, stream, index, id, timestamp and version, so that the same
// record always becomes the same documents. It changes docs in place; memory for added bytes comes from
// arena. An index that the script may not choose is a *TransformError.
func (r *Route) Prepare(arena *Arena, rec *wal.Record, docs []Document) error {
	clientID := r.clientID(rec)
	if r.IDs == IDField && clientID == "" {
		return &TransformError{Type: "id_missing", Message: fmt.Sprintf("the event has no member %q (a string or a number) that could name its document, and elasticsearch.id is field", r.IDField)}
	}
	own := r.IndexFor(rec.Stream, rec.ReceivedAt)
	for i := range docs {
		d := &docs[i]
		d.Key = Key{Epoch: rec.Epoch, Offset: rec.Offset, Ordinal: uint32(i)}
		d.Of, d.Stream, d.ReceivedAt = len(docs), rec.Stream, rec.ReceivedAt
		d.Op, d.Chosen = r.Op, d.Pipeline != ""
		switch {
		case d.Index == "" || d.Index == own:
			d.Index = own
		case !r.allows(d.Index):
			return &TransformError{Type: TypeIndexNotAllowed, Message: fmt.Sprintf("the script chose the index %q, which elasticsearch.allowed_indices does not allow", d.Index)}
		default:
			d.Chosen = true
		}
		if d.Pipeline == "" {
			d.Pipeline = r.Pipeline
		}
		if d.ID == "" && r.IDs != IDNone {
			d.ID = documentID(arena, clientID, d.Key)
		}
		if r.Timestamp && !(rec.Flags&wal.FlagTimestamp != 0 && isUntouched(rec, d)) {
			d.Source = withTimestamp(arena, d.Source, rec.ReceivedAt)
		}
		if r.VersionField != "" && d.Script != "" { // last: what the validator saw holds of the event's own bytes
			d.Source = withVersion(arena, d.Source, r.VersionField, d.Script)
		}
	}
	return nil
}

// IndexFor returns the index of a stream for an event received at a time.
func (r *Route) IndexFor(stream string, received time.Time) string {
	if r.last == nil {
		return r.indexFor(stream, received)
	}
	hour := received.Unix() / 3600 // no date is finer, and zones do not matter: it is UTC's
	if last := r.last.Load(); last != nil && last.hour == hour && last.stream == stream {
		return last.index
	}
	index := r.indexFor(stream, received)
	r.last.Store(&namedIndex{hour, stream, index})
	return index
}

// namedIndex is the last index that was named, because the next event's is nearly always the same.
type namedIndex struct {
	hour          int64
	stream, index string
}

func (r *Route) indexFor(stream string, received time.Time) string {
	index := r.Index
	if from, to, ok := DatePattern(index); ok { // first, so that a stream's name is never taken for a date
		index = index[:from] + received.UTC().Format(index[from:to]) + index[to:]
	}
	if strings.Contains(index, "{") {
		index = strings.ReplaceAll(index, "{stream}", stream)
	}
	return index
}

// datePattern is a year that others may follow, each of them finer: 2006, 2006.01, 2006-01-02, 2006.01.02.15.
var datePattern = regexp.MustCompile(`2006(?:[.-]01(?:[.-]02(?:[.-]15)?)?)?`)

// DatePattern finds the date in an index name: its place, and whether there is one.
func DatePattern(index string) (from, to int, ok bool) {
	if !strings.Contains(index, "2006") {
		return 0, 0, false
	}
	at := datePattern.FindStringIndex(index)
	return at[0], at[1], true
}

func (r *Route) allows(index string) bool {
	for _, p := range r.AllowedIndices {
		if matchPattern(p, index) {
			return true
		}
	}
	return false
}

// matchPattern reports whether s matches pattern, in which "*" stands for any run of characters.
func matchPattern(pattern, s string) bool {
	head, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == s
	}
	if !strings.HasPrefix(s, head) {
		return false
	}
	s = s[len(head):]
	for {
		part, more, wild := strings.Cut(rest, "*")
		if !wild {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], more
	}
}

// clientID returns the id that the client gave its event, or "".
func (r *Route) clientID(rec *wal.Record) string {
	if r.IDField == "" {
		return ""
	}
	v, ok := rawjson.Lookup(rec.Payload, r.IDField)
	if !ok {
		return ""
	}
	switch rawjson.KindOf(v) {
	case rawjson.String:
		return string(rawjson.AppendUnquoted(nil, v))
	case rawjson.Number:
		return string(v)
	}
	return ""
}

func documentID(arena *Arena, clientID string, key Key) string {
	switch {
	case clientID == "":
		var b [maxID]byte
		return arena.String(key.appendID(b[:0]))
	case key.Ordinal == 0:
		return clientID
	}
	return clientID + "-" + strconv.FormatUint(uint64(key.Ordinal), 10)
}

// isUntouched reports whether the document is the event's own bytes, of which the validator's flags hold.
func isUntouched(rec *wal.Record, d *Document) bool {
	return len(d.Source) > 0 && len(d.Source) == len(rec.Payload) && &d.Source[0] == &rec.Payload[0]
}

// withTimestamp returns doc with "@timestamp" as its last member unless it has one: the value of
// "datetime" where that is an RFC 3339 time, else the time of receipt. Never the clock: a redelivery must
// send the same bytes.
func withTimestamp(arena *Arena, doc []byte, received time.Time) []byte {
	value, has := timeOf(doc)
	if has {
		return doc
	}
	if !isTime(value) {
		var b [40]byte
		value = append(appendTime(append(b[:0], '"'), received), '"')
	}
	const member = len(`,"@timestamp":`)
	return rawjson.AppendMember(arena.Alloc(len(doc) + member + len(value))[:0], doc, "@timestamp", value)
}

// timeOf returns the value of "datetime", nil without one, and whether doc has an "@timestamp".
func timeOf(doc []byte) (value []byte, has bool) {
	if !bytes.Contains(doc, []byte("@timestamp")) { // it may still be there, spelled with a backslash
		if value, known := rawjson.LookupLate(doc, "datetime"); known {
			return value, false
		}
	}
	members := rawjson.MembersOf(doc)
	for key, v, ok := members.Next(); ok; key, v, ok = members.Next() {
		if rawjson.KeyIs(key, "@timestamp") {
			return nil, true
		}
		if rawjson.KeyIs(key, "datetime") {
			value = v
		}
	}
	return value, false
}

// withVersion returns doc with the script's version as its last member, unless it has a member of that name.
func withVersion(arena *Arena, doc []byte, field, version string) []byte {
	members := rawjson.MembersOf(doc)
	for key, _, ok := members.Next(); ok; key, _, ok = members.Next() {
		if rawjson.KeyIs(key, field) {
			return doc
		}
	}
	var room [64]byte
	value := rawjson.AppendQuoted(room[:0], version)
	name := len(field) + len(`,"":`)
	return rawjson.AppendMember(arena.Alloc(len(doc) + name + len(value))[:0], doc, field, value)
}

// appendTime writes a time as 2006-01-02T15:04:05.000000000Z. Formatting the seconds alone takes the quick way of package time.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	dst = t.AppendFormat(dst, time.RFC3339)
	dst[len(dst)-1] = '.' // the Z
	nanos := t.Nanosecond()
	for unit := 100_000_000; unit > 0; unit /= 10 {
		dst = append(dst, byte('0'+nanos/unit%10))
	}
	return append(dst, 'Z')
}

// isTime reports whether a raw JSON value is a string that holds an RFC 3339 time, plainly written.
func isTime(raw []byte) bool {
	const shortest, longest = len(`"2006-01-02T15:04:05Z"`), len(`"2006-01-02T15:04:05.999999999+00:00"`)
	if len(raw) < shortest || len(raw) > longest || raw[0] != '"' || !rawjson.Plain(raw) {
		return false
	}
	text := raw[1 : len(raw)-1]
	if isCommonTime(text) {
		return true
	}
	_, err := time.Parse(time.RFC3339, string(text))
	return err == nil
}

// isCommonTime reports whether text, which is long enough for one without a fraction, is a time as nearly all are written. Of what
// package time accepts it leaves out some, but takes a fifth of the time.
func isCommonTime(text []byte) bool {
	if text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':' {
		return false
	}
	month, day := twoDigits(text, 5), twoDigits(text, 8)
	if twoDigits(text, 0) > 99 || twoDigits(text, 2) > 99 || month-1 > 11 || day-1 > 29 || day > 28 && month == 2 ||
		twoDigits(text, 11) > 23 || twoDigits(text, 14) > 59 || twoDigits(text, 17) > 59 {
		return false
	}
	zone := text[len("2006-01-02T15:04:05"):]
	if zone[0] == '.' {
		n := 1
		for n < len(zone) && zone[n]-'0' <= 9 {
			n++
		}
		if n == 1 {
			return false
		}
		zone = zone[n:]
	}
	if len(zone) == 1 {
		return zone[0] == 'Z'
	}
	return len(zone) == len("+00:00") && (zone[0] == '+' || zone[0] == '-') && zone[3] == ':' && twoDigits(zone, 1) <= 23 && twoDigits(zone, 4) <= 59
}

// twoDigits returns the number that stands at i, more than 99 when none does.
func twoDigits(text []byte, i int) uint {
	tens, units := text[i]-'0', text[i+1]-'0'
	if tens > 9 || units > 9 {
		return 100
	}
	return uint(tens)*10 + uint(units)
}
