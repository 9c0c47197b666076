package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// sourceFormat says how events are told apart in a source.
type sourceFormat string

const (
	formatAuto   sourceFormat = "auto"
	formatNDJSON sourceFormat = "ndjson" // one event a line
	formatJSON   sourceFormat = "json"   // arrays of events, or objects one after the other over any number of lines
	formatLines  sourceFormat = "lines"  // one line of plain text becomes one event
)

// position is a place between two events of a source, from which reading can go on.
type position struct {
	Bytes   int64 `json:"bytes"` // in the uncompressed content
	Lines   int64 `json:"lines"` // line breaks before it
	InArray bool  `json:"in_array,omitempty"`
}

// sourceEvent is one event found in a source. Its bytes are valid until the next call.
type sourceEvent struct {
	data  []byte
	line  int64 // where it begins, from 1
	size  int64 // its length; more than len(data) when it is beyond the limit and was not kept
	after position
}

// syntaxError says where a source in JSON cannot be cut into events any more.
type syntaxError struct {
	line    int64
	message string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.message) }

// splitter cuts a stream into events without holding more than one of them. It looks at structure
// only; whether an event is valid is for the service to say. Not for concurrent use.
type splitter struct {
	r      *bufio.Reader
	format sourceFormat
	limit  int // bytes of an event that are kept
	pos    position
	buf    []byte
	text   []byte // the event made of a line of plain text
	size   int64  // bytes of the event so far, kept or not
}

const splitterBuffer = 256 << 10

// newSplitter reads r, which stands at pos. With formatAuto the first bytes decide.
func newSplitter(r io.Reader, format sourceFormat, limit int, pos position) (*splitter, error) {
	s := &splitter{r: bufio.NewReaderSize(r, splitterBuffer), format: format, limit: limit, pos: pos}
	if pos.Bytes > 0 {
		return s, nil
	}
	head, err := s.r.Peek(splitterBuffer)
	if err != nil && !errors.Is(err, io.EOF) && len(head) == 0 {
		return nil, err
	}
	if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) && format != formatLines {
		s.skip(3)
		head = head[3:]
	}
	if format == formatAuto {
		s.format = detectFormat(head)
	}
	return s, nil
}

func (s *splitter) skip(n int) {
	discarded, _ := s.r.Discard(n) // within what Peek returned
	s.pos.Bytes += int64(discarded)
}

// next returns the next event, io.EOF at the end, a *syntaxError, or the error of the reader. What an
// error of the reader cuts off is no event.
func (s *splitter) next() (sourceEvent, error) {
	if s.format == formatJSON {
		return s.nextValue()
	}
	return s.nextLine()
}

func (s *splitter) nextLine() (sourceEvent, error) {
	for {
		line := s.pos.Lines + 1
		err := s.readLine()
		if s.size == 0 || err != nil && !errors.Is(err, io.EOF) {
			return sourceEvent{}, err
		}
		long := s.size > int64(len(s.buf))
		data := bytes.TrimSuffix(bytes.TrimSuffix(s.buf, []byte("\n")), []byte("\r"))
		if !long && len(bytes.Trim(data, " \t")) == 0 {
			continue
		}
		event := sourceEvent{data: data, line: line, size: int64(len(data)), after: s.pos}
		if long {
			event.size = s.size
		} else if s.format == formatLines {
			s.text = appendMessage(s.text[:0], data)
			event.data = s.text
			event.size = int64(len(event.data))
		}
		return event, nil
	}
}

// readLine reads through the next line break. The error is io.EOF only when nothing was left.
func (s *splitter) readLine() error {
	s.buf, s.size = s.buf[:0], 0
	for {
		part, err := s.r.ReadSlice('\n')
		s.size += int64(len(part))
		if len(s.buf)+len(part) <= s.limit+2 { // the line break comes on top of the limit
			s.buf = append(s.buf, part...)
		}
		switch {
		case err == nil:
			s.pos.Bytes += s.size
			s.pos.Lines++
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && s.size > 0:
			s.pos.Bytes += s.size
			return nil
		default:
			return err
		}
	}
}

func (s *splitter) nextValue() (sourceEvent, error) {
	separated := !s.pos.InArray || s.pos.Bytes == 0
	for {
		c, err := s.peek()
		if err != nil {
			if errors.Is(err, io.EOF) && s.pos.InArray {
				err = s.syntax("the array is not complete: ] is missing")
			}
			return sourceEvent{}, err
		}
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			s.take()
		case c == '[' && !s.pos.InArray:
			s.take()
			s.pos.InArray, separated = true, true
		case c == ']' && s.pos.InArray:
			s.take()
			s.pos.InArray, separated = false, true
		case c == ',' && s.pos.InArray && !separated:
			s.take()
			separated = true
		case c == ',' || c == ']' || c == '}' || c == ':':
			return sourceEvent{}, s.syntax(fmt.Sprintf("%q stands where an event should begin", c))
		case !separated:
			return sourceEvent{}, s.syntax("a comma is missing between two events of the array")
		default:
			return s.value(c)
		}
	}
}

func (s *splitter) syntax(message string) error { return &syntaxError{s.pos.Lines + 1, message} }

func (s *splitter) peek() (byte, error) {
	b, err := s.r.Peek(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// take consumes the byte that peek returned.
func (s *splitter) take() byte {
	c, _ := s.r.ReadByte()
	s.pos.Bytes++
	if c == '\n' {
		s.pos.Lines++
	}
	return c
}

// value reads one JSON value by its brackets and quotes.
func (s *splitter) value(first byte) (sourceEvent, error) {
	s.buf, s.size = s.buf[:0], 0
	begin := s.pos.Lines + 1
	nested := first == '{' || first == '[' || first == '"'
	depth, inString, escaped := 0, false, false
	for {
		c, err := s.peek()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				return sourceEvent{}, err
			}
			if nested {
				return sourceEvent{}, &syntaxError{begin, "the event that begins here is not complete"}
			}
			break
		}
		if !nested && bytes.IndexByte([]byte(" \t\r\n,]}"), c) >= 0 {
			break
		}
		s.keep(s.take())
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped = c == '\\'
			inString = c != '"'
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
		if nested && depth <= 0 && !inString {
			break
		}
	}
	return sourceEvent{data: s.buf, line: begin, size: s.size, after: s.pos}, nil
}

func (s *splitter) keep(c byte) {
	s.size++
	if len(s.buf) < s.limit {
		s.buf = append(s.buf, c)
	}
}

// detectFormat judges a source by its first bytes. An array, or an object that goes on in the next
// line, is JSON; anything else is a line an event. A first line that was cut short must not turn a
// whole NDJSON file into one broken value, so an object counts as continued only if it breaks off
// where JSON writers break lines.
func detectFormat(head []byte) sourceFormat {
	head = bytes.TrimLeft(head, " \t\r\n")
	if len(head) == 0 || head[0] != '{' && head[0] != '[' {
		return formatNDJSON
	}
	if head[0] == '[' {
		return formatJSON
	}
	line, rest, _ := bytes.Cut(head, []byte("\n"))
	s := &splitter{r: bufio.NewReader(bytes.NewReader(line)), limit: len(line)}
	event, err := s.value('{')
	if err == nil {
		tail := bytes.TrimLeft(line[len(event.data):], " \t\r,")
		if len(tail) > 0 && tail[0] == '{' {
			return formatJSON // several objects in one line
		}
		return formatNDJSON
	}
	line = bytes.TrimRight(line, " \t\r")
	rest = bytes.TrimLeft(rest, " \t\r\n")
	openQuote := bytes.Count(bytes.ReplaceAll(bytes.ReplaceAll(line, []byte(`\\`), nil), []byte(`\"`), nil), []byte(`"`))%2 == 1
	if len(rest) == 0 || openQuote {
		return formatNDJSON
	}
	if rest[0] == '{' && bytes.IndexByte([]byte(",[:"), line[len(line)-1]) < 0 {
		return formatNDJSON
	}
	return formatJSON
}

// appendMessage appends {"message": text} to dst. Bytes that are not UTF-8 are written as \xNN, so
// that nothing of a line is lost.
func appendMessage(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, `{"message":"`...)
	for len(text) > 0 {
		c := text[0]
		if c < utf8.RuneSelf {
			switch {
			case c == '"' || c == '\\':
				dst = append(dst, '\\', c)
			case c == '\t':
				dst = append(dst, '\\', 't')
			case c < ' ':
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			default:
				dst = append(dst, c)
			}
			text = text[1:]
			continue
		}
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, '\\', '\\', 'x', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, text[:size]...)
		}
		text = text[size:]
	}
	return append(dst, `"}`...)
}
