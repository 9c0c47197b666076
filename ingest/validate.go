package ingest

import (
	"bytes"
	"fmt"

	"github.com/weirlog/weir/wal"
)

// MaxDepth is how deep objects and arrays of one event may nest.
const MaxDepth = 1000

// fault says what the validator found wrong; faultNone means nothing. A fault costs no allocation, its
// words are looked up only when somebody wants to read them.
type fault uint8

const (
	faultNone fault = iota
	faultEnd
	faultValue
	faultKey
	faultColon
	faultObjectNext
	faultArrayNext
	faultLiteral
	faultNumber
	faultControl
	faultEscape
	faultUTF8
	faultDepth
	faultTrailing
	faultNotObject
	faultTooLarge
)

// faults holds the stable code and the message of each fault.
var faults = [...]struct{ code, message string }{
	faultEnd:        {CodeMalformedJSON, "the JSON ends too early: a value, a quote or a bracket is missing"},
	faultValue:      {CodeMalformedJSON, "a JSON value was expected here"},
	faultKey:        {CodeMalformedJSON, "a member name in double quotes was expected here"},
	faultColon:      {CodeMalformedJSON, "a colon was expected after the member name"},
	faultObjectNext: {CodeMalformedJSON, "a comma or } was expected after the member"},
	faultArrayNext:  {CodeMalformedJSON, "a comma or ] was expected after the element"},
	faultLiteral:    {CodeMalformedJSON, "only true, false and null may stand without quotes"},
	faultNumber:     {CodeMalformedJSON, "this is not a JSON number"},
	faultControl:    {CodeMalformedJSON, "a control character stands in a string: escape it, e.g. as \\n or \\u0000"},
	faultEscape:     {CodeMalformedJSON, "this is not a JSON escape: double the backslash"},
	faultUTF8:       {CodeInvalidUTF8, "a string is not valid UTF-8: convert it before it is sent"},
	faultDepth:      {CodeTooDeep, "objects and arrays nest deeper than 1000 levels: flatten the event"},
	faultTrailing:   {CodeMalformedJSON, "more follows after the end of the value: send one object per line, or an array"},
	faultNotObject:  {CodeNotAnObject, "an event must be a JSON object: wrap the value, e.g. {\"message\": ...}"},
	faultTooLarge:   {CodeEventTooLarge, "the event is larger than ingest.max_event_bytes: shorten or split it"},
}

// inString tells the faults after which the end of the string, and so of the value, can still be found.
func (f fault) inString() bool { return f == faultControl || f == faultEscape || f == faultUTF8 }

// SyntaxError says where and why bytes are no acceptable event.
type SyntaxError struct {
	Code     string // stable: malformed_json, invalid_utf8, too_deep or not_an_object
	Position int    // of the first offending byte; the number of bytes when the end came too early
	Message  string // for people
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s: byte %d: %s", e.Code, e.Position, e.Message)
}

// ValidateEvent checks that event is one JSON object as the endpoint accepts it: RFC 8259, strict UTF-8,
// at most MaxDepth levels; white space around it is allowed. The error is a *SyntaxError. Safe for
// concurrent use; it keeps no reference to event.
func ValidateEvent(event []byte) error {
	_, err := CheckEvent(event)
	return err
}

// CheckEvent is ValidateEvent that also returns the flags which the log should store with the event:
// wal.FlagTimestamp when the object has a member "@timestamp".
func CheckEvent(event []byte) (wal.Flags, error) {
	flags, pos, f := checkObject(event)
	if f != faultNone {
		return 0, &SyntaxError{Code: faults[f].code, Position: pos, Message: faults[f].message}
	}
	return flags, nil
}

// checkObject checks that b holds one object and white space, nothing else.
func checkObject(b []byte) (flags wal.Flags, pos int, f fault) {
	start := skipSpace(b, 0)
	end, timestamp, f := scanValue(b, start)
	if f != faultNone {
		return 0, end, f
	}
	if rest := skipSpace(b, end); rest < len(b) {
		return 0, rest, faultTrailing
	}
	if b[start] != '{' {
		return 0, start, faultNotObject
	}
	if timestamp {
		flags = wal.FlagTimestamp
	}
	return flags, end, faultNone
}

const timestampKey = "@timestamp"

// isTimestampKey compares a member name, as it stands between its quotes, with "@timestamp". Every letter
// of it may have been sent as an escape.
func isTimestampKey(key []byte) bool {
	if len(key) == len(timestampKey) {
		return string(key) == timestampKey
	}
	if bytes.IndexByte(key, '\\') < 0 {
		return false
	}
	n := 0
	for i := 0; i < len(key); n++ {
		c := int(key[i])
		if c == '\\' {
			if key[i+1] != 'u' { // the short escapes stand for no letter of the name
				return false
			}
			c = hexValue(key[i+2])<<12 | hexValue(key[i+3])<<8 | hexValue(key[i+4])<<4 | hexValue(key[i+5])
			i += 5
		}
		i++
		if n >= len(timestampKey) || c != int(timestampKey[n]) {
			return false
		}
	}
	return n == len(timestampKey)
}
