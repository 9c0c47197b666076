package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

// stream writes an answer of one JSON value a line, for as long as it takes: it lifts the request's
// read deadline and pushes the write deadline forward. Not for concurrent use.
type stream struct {
	buf     *bufio.Writer
	enc     *json.Encoder
	control *http.ResponseController
	flushed time.Time
	pushed  time.Time
}

const (
	streamBuffer  = 32 << 10
	flushEvery    = 200 * time.Millisecond
	pushEvery     = time.Second
	contentTypeND = "application/x-ndjson"
)

func newStream(w http.ResponseWriter, contentType string) *stream {
	w.Header().Set("Content-Type", contentType)
	s := &stream{control: http.NewResponseController(w)}
	// A writer without deadlines, inside a command, has none to lift.
	_ = s.control.SetReadDeadline(time.Time{})
	s.buf = bufio.NewWriterSize(&deadlineWriter{w: w, s: s}, streamBuffer)
	s.enc = json.NewEncoder(s.buf)
	s.enc.SetEscapeHTML(false)
	s.flushed = time.Now()
	return s
}

// deadlineWriter gives each write its own time, so that only a client that stands still is cut off.
type deadlineWriter struct {
	w io.Writer
	s *stream
}

func (d *deadlineWriter) Write(b []byte) (int, error) {
	if now := time.Now(); now.Sub(d.s.pushed) > pushEvery {
		d.s.pushed = now
		_ = d.s.control.SetWriteDeadline(now.Add(adminWriteTimeout))
	}
	return d.w.Write(b)
}

// line writes one value. It reaches the client soon, at once with urgent.
func (s *stream) line(v any, urgent bool) error {
	if err := s.enc.Encode(v); err != nil {
		return err
	}
	if urgent || time.Since(s.flushed) > flushEvery {
		return s.flush()
	}
	return nil
}

func (s *stream) flush() error {
	s.flushed = time.Now()
	if err := s.buf.Flush(); err != nil {
		return err
	}
	if err := s.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
