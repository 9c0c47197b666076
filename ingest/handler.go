package ingest

import (
	"bytes"
	"context"
	"net/url"
	"time"

	"github.com/weirlog/weir/wal"
)

// stream is a declared stream.
type stream struct {
	name     string
	counters streamCounters
}

// handle reads and serves one request whose header is complete, and leaves the answer's body in x.text.
// appending is set while the log may have taken the events.
func (s *Server) handle(c *conn, x *exchange, appending *bool) answer {
	x.text = x.text[:0]
	x.unread = true // until we know better
	if err := x.header.Read(x.reader); err != nil || contradictory(x) {
		return s.refuse(x, refuseBadRequest)
	}
	length := x.header.ContentLength()
	x.unread = length != 0 && length != -2
	if length > 0 && length <= x.reader.Buffered() { // whatever the answer, the connection can go on
		x.unread, x.buffered = false, length
	}
	target, r := s.route(x)
	if r != nil {
		return s.refuse(x, r)
	}
	if target == nil {
		return s.greet(x)
	}
	kind, r := s.admit(c, x)
	if r != nil {
		return s.refuse(x, r)
	}
	body, r := c.readBody(x)
	if r != nil {
		return s.refuse(x, r)
	}
	return s.ingest(c, x, target, kind, body, appending)
}

// contradictory reports whether the header says two things about where the body ends; a proxy before us
// may have believed the other one.
func contradictory(x *exchange) bool {
	if x.header.ContentLength() != -1 {
		return false
	}
	if !x.header.IsHTTP11() {
		return true
	}
	for raw := x.header.RawHeaders(); len(raw) > 0; {
		text := line(raw)
		raw = raw[min(len(text)+1, len(raw)):]
		name, _, _ := bytes.Cut(text, []byte{':'})
		if equalFold(name, "content-length") {
			return true
		}
	}
	return false
}

// route finds what the request is for: a stream, or nil for the greeting.
func (s *Server) route(x *exchange) (*stream, *refusal) {
	path := requestPath(x.header.RequestURI())
	name, named := bytes.CutPrefix(path, []byte("/ingest/"))
	switch {
	case len(path) == 1 && path[0] == '/':
		if !x.header.IsGet() && !x.header.IsHead() {
			return nil, refuseNotGet
		}
		return nil, nil
	case !named && string(path) != "/ingest":
		return nil, refuseRoute
	case !x.header.IsPost():
		return nil, refuseNotPost
	case !named:
		return s.fallback, nil
	}
	target := s.streams[string(name)]
	if target == nil && bytes.IndexByte(name, '%') >= 0 {
		if plain, err := url.PathUnescape(string(name)); err == nil {
			target = s.streams[plain]
		}
	}
	if target == nil {
		return nil, refuseStream
	}
	return target, nil
}

// requestPath returns the path of a request target, which may be a whole URL (RFC 9112, section 3.2.2).
func requestPath(target []byte) []byte {
	if len(target) > 0 && target[0] != '/' {
		if n := bytes.Index(target, []byte("://")); n >= 0 {
			target = target[n+3:]
			n = bytes.IndexAny(target, "/?")
			if n < 0 || target[n] == '?' {
				return []byte{'/'}
			}
			target = target[n:]
		}
	}
	if n := bytes.IndexByte(target, '?'); n >= 0 {
		target = target[:n]
	}
	return target
}

// admit decides from the header whether the body is to be read. A body that is here already is looked at
// for its own sake; for one that is still underway nothing is taken in that is sure to be refused.
func (s *Server) admit(c *conn, x *exchange) (encoding, *refusal) {
	if s.draining.Load() {
		return 0, refuseShutdown
	}
	kind := encodingNone
	if value := x.header.ContentEncoding(); len(value) > 0 {
		kind = encodingOf(value)
		if kind == encodingUnknown || len(x.header.PeekAll("Content-Encoding")) > 1 {
			return 0, refuseEncoding
		}
	}
	length := int64(x.header.ContentLength())
	if length > s.options.MaxBodyBytes {
		return 0, refuseBody
	}
	if !x.unread {
		return kind, nil
	}
	if !s.budget.fits(max(length, 1)) {
		return 0, refuseBusy
	}
	if err := s.options.Log.Ready(); err != nil {
		r, _ := refuseAppend(err)
		if r == refuseCommit { // nothing of this request has been tried
			r = refuseFailed
		}
		return 0, r
	}
	return kind, s.expect(c, x)
}

// expect answers "Expect: 100-continue" when the body has not begun to arrive.
func (s *Server) expect(c *conn, x *exchange) *refusal {
	value := x.header.Peek("Expect")
	if len(value) == 0 || !x.header.IsHTTP11() {
		return nil
	}
	if !equalFold(value, "100-continue") {
		return refuseExpect
	}
	if x.reader.Buffered() == 0 && c.write(continueLine) != nil {
		return refuseIncomplete
	}
	return nil
}

// ingest splits the body, makes its events durable, and says so.
func (s *Server) ingest(c *conn, x *exchange, target *stream, kind encoding, body []byte, appending *bool) answer {
	origin := wal.Origin{Stream: target.name, Remote: c.remote, ReceivedAt: x.begun}
	if kind != encodingNone && len(body) > 0 {
		plain, r := s.decompress(x, kind, body)
		if r != nil {
			return s.refuseBody(x, r, origin, body)
		}
		body = plain
	}
	s.metrics.bodyBytes.Add(float64(len(body)))

	d := &x.batch
	d.split(body, isNDJSON(x.header.ContentType()), s.limits)
	if d.refused != nil {
		return s.refuseBody(x, d.refused, origin, body)
	}
	if n := cap(d.events); n > freeEvents && !x.hold(&s.budget, n*eventBytes) {
		d.problems = d.problems[:0]
		return s.refuse(x, refuseBusy)
	}
	*appending = true
	_, err := s.options.Log.Append(s.appends, origin, d.events)
	*appending = false
	if err != nil {
		d.problems = d.problems[:0] // nothing was rejected for its own sake
		r, known := refuseAppend(err)
		if !known {
			s.log.Error("append failed in an unknown way", "error", err)
		}
		return s.refuse(x, r)
	}
	target.counters.accepted.Add(float64(d.accepted))
	if d.rejected > 0 {
		target.counters.deadLettered.Add(float64(d.rejected))
	}
	x.writeAccepted()
	return answer{status: 202}
}

// Slices of events above freeEvents count against the budget with eventBytes each.
const (
	freeEvents = 1024
	eventBytes = 48
)

// isNDJSON reports whether a content type announces lines.
func isNDJSON(contentType []byte) bool {
	if len(contentType) == 0 {
		return false
	}
	media, _, _ := bytes.Cut(contentType, []byte{';'})
	media, _ = cutItem(media)
	for _, name := range []string{"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/json-lines"} {
		if equalFold(media, name) {
			return true
		}
	}
	return false
}

// refuse answers a request of which nothing is stored.
func (s *Server) refuse(x *exchange, r *refusal) answer {
	s.metrics.refusals.WithLabelValues(r.code).Inc()
	x.writeRefusal(r)
	return refusing(r)
}

// refuseBody is refuse for a body that was read and does not deserve better: its beginning is kept.
func (s *Server) refuseBody(x *exchange, r *refusal, origin wal.Origin, body []byte) answer {
	if s.options.Refused == nil || r == refuseEmpty || r.retryAfter > 0 {
		return s.refuse(x, r)
	}
	select {
	case s.keepers <- struct{}{}:
		defer func() { <-s.keepers }()
	default: // the store does not keep up, and serving goes on
		s.metrics.refusedLost.Inc()
		return s.refuse(x, r)
	}
	ctx, cancel := context.WithTimeout(s.appends, keepTimeout)
	defer cancel()
	err := s.options.Refused.Refuse(ctx, RefusedBody{
		Origin: origin, Code: r.code, Message: r.message, Size: int64(len(body)), Body: body[:min(len(body), RefusedBytes)],
	})
	if err != nil {
		s.metrics.refusedLost.Inc()
		s.log.Warn("refused body was not kept", "code", r.code, "error", err)
	} else {
		s.metrics.refusedKept.Inc()
	}
	return s.refuse(x, r)
}

// keepTimeout bounds how long a refused body may delay its answer, maxKeepers how many do so at once.
const (
	keepTimeout = 5 * time.Second
	maxKeepers  = 16
)

// greet answers GET and HEAD /.
func (s *Server) greet(x *exchange) answer {
	b := append(x.text[:0], `{"name":"weir","version":`...)
	b = appendJSONString(b, s.options.Version)
	x.text = append(b, `,"ingest":"POST /ingest or /ingest/{stream}"}`...)
	return answer{status: 200}
}
