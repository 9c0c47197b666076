package ingest

import (
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/valyala/fasthttp"
)

// maxRequestID bounds the X-Request-Id that is sent back.
const maxRequestID = 128

// answer is what a request is answered; its body is exchange.text.
type answer struct {
	status     int
	retryAfter int
	allow      string
	close      bool // the connection ends after it
}

// refusing returns the answer of a refusal. Its body is written by appendRefusal.
func refusing(r *refusal) answer {
	return answer{status: r.status, retryAfter: r.retryAfter, allow: r.allow, close: r.hangUp}
}

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// appendAnswer builds the whole answer in x.out.
func (x *exchange) appendAnswer(a *answer) []byte {
	b := x.out[:0]
	if a.status == 202 {
		b = append(b, "HTTP/1.1 202 Accepted\r\nServer: weir\r\nDate: "...)
	} else {
		b = append(b, "HTTP/1.1 "...)
		b = strconv.AppendInt(b, int64(a.status), 10)
		b = append(b, ' ')
		b = append(b, fasthttp.StatusMessage(a.status)...)
		b = append(b, "\r\nServer: weir\r\nDate: "...)
	}
	b = appendDate(b, x.begun)
	b = append(b, "\r\nContent-Type: application/json\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(x.text)), 10)
	if id := x.header.Peek("X-Request-Id"); len(id) > 0 {
		b = append(b, "\r\nX-Request-Id: "...)
		b = appendRequestID(b, id)
	}
	if a.retryAfter > 0 && a.status == 503 {
		b = append(b, "\r\nRetry-After: "...)
		b = strconv.AppendInt(b, int64(a.retryAfter), 10)
	}
	if a.allow != "" {
		b = append(b, "\r\nAllow: "...)
		b = append(b, a.allow...)
	}
	switch {
	case a.close:
		b = append(b, "\r\nConnection: close"...)
	case !x.header.IsHTTP11():
		b = append(b, "\r\nConnection: keep-alive"...)
	}
	b = append(b, "\r\n\r\n"...)
	if !x.header.IsHead() {
		b = append(b, x.text...)
	}
	x.out = b
	return b
}

// appendRequestID sends a client's id back, cut at maxRequestID bytes, with anything that is not visible
// ASCII or a blank replaced, so that it can never begin a line of its own.
func appendRequestID(b, id []byte) []byte {
	for _, c := range id[:min(len(id), maxRequestID)] {
		if c < ' ' || c > '~' {
			c = '?'
		}
		b = append(b, c)
	}
	return b
}

// dateText is the Date header's value for one second.
type dateText struct {
	second int64
	text   []byte
}

var lastDate atomic.Pointer[dateText]

func appendDate(b []byte, now time.Time) []byte {
	d := lastDate.Load()
	if d == nil || d.second != now.Unix() {
		d = &dateText{second: now.Unix(), text: fasthttp.AppendHTTPDate(nil, now)}
		lastDate.Store(d)
	}
	return append(b, d.text...)
}

// writeAccepted puts the answer to a stored batch into x.text.
func (x *exchange) writeAccepted() {
	d := &x.batch
	b := append(x.text[:0], `{"accepted":`...)
	b = strconv.AppendInt(b, int64(d.accepted), 10)
	if d.rejected > 0 {
		b = append(b, `,"dead_lettered":`...)
		b = strconv.AppendInt(b, int64(d.rejected), 10)
		b = d.appendErrors(b)
	}
	x.text = append(b, '}')
}

// writeRefusal puts the answer of a refusal into x.text, with what the batch lists if anything.
func (x *exchange) writeRefusal(r *refusal) {
	b := append(x.text[:0], `{"error":{"code":"`...)
	b = append(b, r.code...)
	b = append(b, `","message":`...)
	b = appendJSONString(b, r.message)
	b = append(b, `,"retry":`...)
	b = strconv.AppendBool(b, r.retryAfter > 0)
	b = append(b, '}')
	if len(x.batch.problems) > 0 {
		b = x.batch.appendErrors(b)
	}
	x.text = append(b, '}')
}

// appendErrors appends the member "errors", and how many were left out.
func (d *batch) appendErrors(b []byte) []byte {
	b = append(b, `,"errors":[`...)
	place := `{"line":`
	if d.shape == shapeArray {
		place = `{"index":`
	}
	for i, p := range d.problems {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, place...)
		b = strconv.AppendInt(b, int64(p.number), 10)
		b = append(b, `,"code":"`...)
		b = append(b, faults[p.fault].code...)
		b = append(b, `","message":`...)
		b = appendJSONString(b, string(p.message()))
		b = append(b, '}')
	}
	b = append(b, ']')
	if n := d.omitted(); n > 0 {
		b = append(b, `,"errors_omitted":`...)
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return b
}

// appendJSONString appends s as a JSON string. Messages are ours and hold no control characters but by
// accident; those, and broken UTF-8, are replaced.
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ':
			b = append(b, '?')
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

// hasToken reports whether a header's comma-separated value holds token, in any case.
func hasToken(value []byte, token string) bool {
	for len(value) > 0 {
		var item []byte
		item, value = cutItem(value)
		if equalFold(item, token) {
			return true
		}
	}
	return false
}

// cutItem cuts the first item of a comma-separated value, without the blanks around it.
func cutItem(value []byte) (item, rest []byte) {
	n := 0
	for n < len(value) && value[n] != ',' {
		n++
	}
	item, rest = value[:n], value[min(n+1, len(value)):]
	for len(item) > 0 && (item[0] == ' ' || item[0] == '\t') {
		item = item[1:]
	}
	for len(item) > 0 && (item[len(item)-1] == ' ' || item[len(item)-1] == '\t') {
		item = item[:len(item)-1]
	}
	return item, rest
}

// equalFold compares ASCII without regard to case. lower must be lower case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c-'A' <= 'Z'-'A' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
