package elastic

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/weirlog/weir/flush"
)

// maxRetryAfter bounds what a destination may ask for; a proxy's nonsense must not stop delivery for days.
const maxRetryAfter = time.Hour

// statusError sorts an answer whose status is not 200.
func (s *Sink) statusError(status int, header http.Header, body []byte) *flush.RequestError {
	typ, reason := errorOf(body)
	e := &flush.RequestError{Cause: statusCause(status), Status: status, Type: typ, Verdict: flush.ClassifyRequest(status, "", typ, reason)}
	if e.Verdict == flush.Retry {
		e.RetryAfter = retryAfter(header, s.now())
	}
	if status/100 == 2 {
		e.Cause = causeUntrusted // 202, 204 ...: nothing was said of the documents
	}
	e.Err = statusText(status, header, typ, reason, body)
	return e
}

// statusCause names a status for the metric; unusual ones by their class.
func statusCause(status int) string {
	switch status {
	case 400, 401, 403, 404, 405, 406, 408, 413, 429, 500, 502, 503, 504:
		return "status_" + strconv.Itoa(status)
	}
	switch {
	case status/100 == 3:
		return causeRedirect
	case status/100 == 4:
		return "status_4xx"
	case status/100 == 5:
		return "status_5xx"
	}
	return causeUntrusted
}

// errorOf returns type and reason of a server's error answer, "" when it is none.
func errorOf(body []byte) (typ, reason string) {
	var answer struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return "", ""
	}
	var detail struct {
		Type   string `json:"type"`
		Reason string `json:"reason"`
	}
	if json.Unmarshal(answer.Error, &detail) == nil {
		return cutText(detail.Type, maxType), cutText(detail.Reason, maxReason)
	}
	if json.Unmarshal(answer.Error, &reason) == nil {
		return "", cutText(reason, maxReason)
	}
	return "", ""
}

func statusText(status int, header http.Header, typ, reason string, body []byte) error {
	text := fmt.Sprintf("answered %d %s", status, http.StatusText(status))
	switch {
	case status/100 == 3:
		return fmt.Errorf("%s to %s: redirects are not followed, give the final address",
			text, printable([]byte(header.Get("Location"))))
	case typ != "" || reason != "":
		return errors.New(strings.TrimSuffix(text+": "+typ+": "+printable([]byte(reason)), ": "))
	case len(body) > 0:
		return fmt.Errorf("%s: %s", text, describe(body))
	}
	return errors.New(text)
}

// retryAfter returns what the header asks for: seconds, or a date, which is read against the server's own
// clock where it tells it. 0 means nothing usable.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if there, err := http.ParseTime(header.Get("Date")); err == nil {
		now = there
	}
	return max(0, min(at.Sub(now), maxRetryAfter))
}

// describe says in one short line what a body that is no answer looks like.
func describe(body []byte) string {
	trimmed := bytes.TrimSpace(body)
	switch {
	case len(trimmed) == 0:
		return "the body is empty"
	case trimmed[0] == '<':
		return "it is a web page, the address may be a proxy's, a login page's or Kibana's: " + printable(trimmed)
	}
	return "it begins " + printable(trimmed)
}

// printable returns the beginning of what others wrote, fit for a log line.
func printable(b []byte) string {
	if len(b) > 2*maxDescribeBody {
		b = b[:2*maxDescribeBody]
	}
	text := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return '.'
		}
		return r
	}, strings.ToValidUTF8(string(b), "."))
	return cutText(strings.Join(strings.Fields(text), " "), maxDescribeBody)
}
