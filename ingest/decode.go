package ingest

import (
	"bytes"
	"strconv"

	"github.com/weirlog/weir/wal"
)

// maxListed bounds the errors that one answer lists; the others are counted in errors_omitted.
const maxListed = 100

// shape is how a body holds its events.
type shape uint8

const (
	shapeOne   shape = iota // a single value, which may span lines
	shapeLines              // one event a line
	shapeArray              // the elements of one array
)

// batch is what a body holds: the events of one append, good and rejected in the order of the body, and
// what to tell the client about the rejected ones. All payloads are slices of the body. A batch is
// reused from request to request.
type batch struct {
	events   []wal.Event
	accepted int
	rejected int
	shape    shape
	problems []problem // of the first maxListed rejected events, or why the whole body is refused
	refused  *refusal  // set when nothing of the body is to be stored
}

// problem is one rejected event.
type problem struct {
	number   int // line, from 1, or index in the array, from 0
	position int // byte in the event; below 0 when the place says nothing
	fault    fault
}

// limits bound one body.
type limits struct {
	eventBytes int
	events     int
}

var byteOrderMark = []byte("\xEF\xBB\xBF")

// split finds the events of body. What kind of body it is, is decided so:
//
//  1. A byte order mark before everything is passed over. It belongs to no event.
//  2. A content type for NDJSON: lines, whatever they hold.
//  3. The first byte that is no white space is '[': an array.
//  4. The body is one JSON value and white space: a single event, on however many lines.
//  5. Its first line that is not blank is a complete JSON value by itself, or any line holds a complete
//     object that begins in the first column: lines. (Parts of a broken, indented object are indented,
//     so they are not mistaken for events.)
//  6. Else it is a single event, and malformed.
func (d *batch) split(body []byte, ndjson bool, l limits) {
	d.reset()
	body = bytes.TrimPrefix(body, byteOrderMark)
	start := skipSpace(body, 0)
	switch {
	case start == len(body):
		d.refused = refuseEmpty
		return
	case ndjson:
		d.splitLines(body, l)
	case body[start] == '[':
		d.splitArray(body, start, l)
	default:
		d.splitOther(body, start, l)
	}
	d.conclude()
}

// reset forgets the last body. Slices that a rare large body made are given up.
func (d *batch) reset() {
	if cap(d.events) > freeEvents {
		d.events = nil
	}
	clear(d.events) // or the pool would keep bodies alive
	*d = batch{events: d.events[:0], problems: d.problems[:0]}
}

// splitOther takes a body without announced kind that is no array: rules 4 to 6.
func (d *batch) splitOther(body []byte, start int, l limits) {
	end, timestamp, f := scanValue(body, start)
	position := end
	if f == faultNone {
		rest := skipSpace(body, end)
		if rest == len(body) {
			d.add(body[start:end], timestamp, f, 0, 1, l)
			return
		}
		f, position = faultTrailing, rest
	}
	if isLines(body, start) {
		d.splitLines(body, l)
		return
	}
	line := 1 + bytes.Count(body[:position], []byte{'\n'})
	d.reject(trimRight(body[start:]), f, position, line)
}

// isLines is rule 5.
func isLines(body []byte, start int) bool {
	first := line(body[start:])
	if end, _, f := scanValue(first, 0); f == faultNone && skipSpace(first, end) == len(first) {
		return true
	}
	for rest := body; len(rest) > 0; {
		text := line(rest)
		if len(text) > 0 && text[0] == '{' {
			if _, _, f := checkObject(text); f == faultNone {
				return true
			}
		}
		rest = rest[min(len(text)+1, len(rest)):]
	}
	return false
}

// line returns b up to its first line feed.
func line(b []byte) []byte {
	if n := bytes.IndexByte(b, '\n'); n >= 0 {
		return b[:n]
	}
	return b
}

// trimRight returns b without the white space at its end, as JSON knows it.
func trimRight(b []byte) []byte {
	for len(b) > 0 && skipSpace(b[len(b)-1:], 0) == 1 {
		b = b[:len(b)-1]
	}
	return b
}

// splitLines takes every line that is not blank as one event. White space at both ends, a carriage return
// among it, belongs to no event.
func (d *batch) splitLines(body []byte, l limits) {
	d.shape = shapeLines
	for number := 1; len(body) > 0 && d.refused == nil; number++ {
		text := line(body)
		body = body[min(len(text)+1, len(body)):]
		text = trimRight(text[skipSpace(text, 0):])
		if len(text) == 0 {
			continue
		}
		end, timestamp, f := scanValue(text, 0)
		if f == faultNone && end < len(text) {
			f = faultTrailing
			end = skipSpace(text, end)
		}
		d.add(text, timestamp, f, end, number, l)
	}
}

// splitArray takes the elements of the array that begins at body[i]. An element whose own end is certain
// can be rejected alone; anything else that is wrong refuses the whole body.
func (d *batch) splitArray(body []byte, i int, l limits) {
	d.shape = shapeArray
	i = skipSpace(body, i+1)
	if i < len(body) && body[i] == ']' {
		if rest := skipSpace(body, i+1); rest < len(body) {
			d.refuseArray(faultTrailing, rest, 0)
			return
		}
		d.refused = refuseEmpty
		return
	}
	for index := 0; d.refused == nil; index++ {
		start := skipSpace(body, i)
		end, timestamp, f := scanValue(body, start)
		position := end
		if f.inString() || f == faultDepth {
			var found bool
			if end, found = skipBroken(body, start); !found {
				d.refuseArray(f, position, index)
				return
			}
		} else if f != faultNone {
			d.refuseArray(f, position, index)
			return
		}
		d.add(body[start:end], timestamp, f, position-start, index, l)

		i = skipSpace(body, end)
		switch {
		case i >= len(body):
			d.refuseArray(faultEnd, i, index)
			return
		case body[i] == ',':
			i++
		case body[i] == ']':
			if i = skipSpace(body, i+1); i < len(body) {
				d.refuseArray(faultTrailing, i, index)
			}
			return
		default:
			d.refuseArray(faultArrayNext, i, index)
			return
		}
	}
}

// refuseArray refuses an array whose own syntax is broken at body position, in or after element index.
func (d *batch) refuseArray(f fault, position, index int) {
	d.forget()
	d.refused = &refusal{status: 400, code: faults[f].code,
		message: "the array is broken at byte " + strconv.Itoa(position) + ", so no event of it was taken: " + faults[f].message}
	d.problems = append(d.problems, problem{number: index, position: position, fault: f})
}

// forget drops the events found so far: the whole body is refused.
func (d *batch) forget() {
	clear(d.events)
	d.accepted, d.rejected = 0, 0
	d.events, d.problems = d.events[:0], d.problems[:0]
}

// add appends one event; text is its bytes, f what the validator said of them at position.
func (d *batch) add(text []byte, timestamp bool, f fault, position, number int, l limits) {
	if len(d.events) == l.events {
		d.forget()
		d.refused = refuseEvents
		return
	}
	if f == faultNone && text[0] != '{' {
		f, position = faultNotObject, -1
	}
	if len(text) > l.eventBytes {
		f, position = faultTooLarge, -1
	}
	if f != faultNone {
		d.reject(text, f, position, number)
		return
	}
	var flags wal.Flags
	if timestamp {
		flags = wal.FlagTimestamp
	}
	d.events = append(d.events, wal.Event{Flags: flags, Payload: text})
	d.accepted++
}

// reject appends bytes that are no acceptable event. Only the listed ones get a reason of their own, so
// that a body of nothing but faults costs no memory.
func (d *batch) reject(text []byte, f fault, position, number int) {
	reason := faultReasons[f]
	if len(d.problems) < maxListed {
		p := problem{number: number, position: position, fault: f}
		d.problems = append(d.problems, p)
		reason = string(append([]byte(faults[f].code+": "), p.message()...))
	}
	d.events = append(d.events, wal.Event{Flags: wal.FlagRejected, Reason: reason, Payload: text})
	d.rejected++
}

// conclude refuses the body when nothing of it is acceptable.
func (d *batch) conclude() {
	if d.refused != nil || d.accepted > 0 {
		return
	}
	switch {
	case d.rejected > 1:
		d.refused = refuseNothing
	case d.problems[0].fault == faultTooLarge:
		d.refused = refuseEvent
	default:
		p := d.problems[0]
		d.refused = &refusal{status: 400, code: faults[p.fault].code, message: string(p.message())}
	}
}

// omitted is how many rejected events the answer does not list.
func (d *batch) omitted() int { return max(0, d.rejected-len(d.problems)) }

// faultReasons are the reasons of rejected events that are not listed.
var faultReasons = func() (reasons [len(faults)]string) {
	for f := range faults {
		reasons[f] = faults[f].code + ": " + faults[f].message
	}
	return reasons
}()

// message says what is wrong and where.
func (p problem) message() []byte {
	if p.position < 0 {
		return []byte(faults[p.fault].message)
	}
	b := strconv.AppendInt([]byte("byte "), int64(p.position), 10)
	b = append(b, ": "...)
	return append(b, faults[p.fault].message...)
}
