package load

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// answer is one HTTP answer in a buffer.
type answer struct {
	status int
	body   []byte
	size   int  // bytes of head and body
	last   bool // the server ends the connection after it
}

var (
	contentLength    = []byte("content-length")
	transferEncoding = []byte("transfer-encoding")
	connection       = []byte("connection")
	closeToken       = []byte("close")
)

// parseAnswer reads the answer at the beginning of b. ok is false while it is not complete; ended says that nothing more will come.
func parseAnswer(b []byte, ended bool) (a answer, ok bool, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return a, false, nil
	}
	line, head, _ := bytes.Cut(b[:end], []byte("\r\n"))
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return a, false, fmt.Errorf("not an HTTP answer: %.40q", line)
	}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return a, false, fmt.Errorf("not a status: %.40q", line)
	}
	length := -1
	for len(head) > 0 {
		line, head, _ = bytes.Cut(head, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case is(name, contentLength):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 {
				return a, false, fmt.Errorf("not a length: %.40q", line)
			}
		case is(name, transferEncoding):
			return parseChunked(b, ended)
		case is(name, connection):
			a.last = is(value, closeToken)
		}
	}
	switch {
	case a.status == http.StatusNoContent || a.status == http.StatusNotModified:
		length = 0
	case length < 0 && !ended:
		return a, false, nil // its end is that of the connection
	case length < 0:
		length = len(b) - end - 4
	}
	a.size = end + 4 + length
	if len(b) < a.size {
		return a, false, nil
	}
	a.body = b[end+4 : a.size]
	return a, true, nil
}

// is reports whether two names are the same but for their case. It looks at the length first: it is called for each line.
func is(name, lower []byte) bool { return len(name) == len(lower) && bytes.EqualFold(name, lower) }

// parseChunked leaves the rare kind of answer to the library. It begins anew with each piece: such answers are short.
func parseChunked(b []byte, ended bool) (a answer, ok bool, err error) {
	source := bytes.NewReader(b)
	r := bufio.NewReader(source)
	resp, err := http.ReadResponse(r, nil)
	if err == nil {
		a.body, err = io.ReadAll(resp.Body)
	}
	switch {
	case err != nil && strings.Contains(err.Error(), io.ErrUnexpectedEOF.Error()) && !ended: // the one of a trailer wraps nothing
		return a, false, nil
	case err != nil:
		return a, false, fmt.Errorf("not an HTTP answer: %w", err)
	}
	a.status, a.last = resp.StatusCode, resp.Close
	a.size = len(b) - source.Len() - r.Buffered()
	return a, true, nil
}
