package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// answer is one HTTP answer in a buffer.
type answer struct {
	status int
	body   []byte
	size   int // bytes of head and body
}

var contentLength = []byte("content-length")

// parseAnswer reads the answer at the beginning of b. ok is false while it is not complete.
func parseAnswer(b []byte) (a answer, ok bool, err error) {
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
		if len(name) == len(contentLength) && bytes.EqualFold(name, contentLength) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil || length < 0 {
				return a, false, fmt.Errorf("not a length: %.40q", line)
			}
		}
	}
	if length < 0 {
		return a, false, errors.New("an answer without Content-Length")
	}
	a.size = end + 4 + length
	if len(b) < a.size {
		return a, false, nil
	}
	a.body = b[end+4 : a.size]
	return a, true, nil
}
