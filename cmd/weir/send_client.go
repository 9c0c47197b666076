package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

// ingestClient posts bodies to a weir and sends again what may be sent again. Safe for concurrent use.
type ingestClient struct {
	http     *http.Client
	url      string
	shown    string // url as messages name it: no password
	compress bool
	timeout  time.Duration // of one request
	giveUp   time.Duration // of trying to send one body; 0 for ever
	now      func() time.Time
	wait     func(ctx context.Context, d time.Duration) error
	notice   func(message string) // told once of each body that has to wait
}

// ingestAnswer is what the service said of one body.
type ingestAnswer struct {
	Status       int         `json:"-"`
	Accepted     int         `json:"accepted"`
	DeadLettered int         `json:"dead_lettered"`
	Errors       []itemError `json:"errors"`
	Error        struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Retry   bool   `json:"retry"`
	} `json:"error"`
}

// itemError is what the service said of one event: by line of an NDJSON body, or by index of an array.
type itemError struct {
	Line    int    `json:"line"`
	Index   *int   `json:"index"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (a *ingestAnswer) String() string {
	text := fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status))
	if a.Error.Code != "" {
		text += ": " + a.Error.Code + ": " + a.Error.Message
	}
	return text
}

// retryError is a failure after which the same body may be sent again.
type retryError struct {
	after time.Duration // what the service asked for; 0 when nothing
	err   error
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }

const (
	retryPauseMin  = 100 * time.Millisecond
	retryPauseMax  = 10 * time.Second
	retryAfterMax  = 5 * time.Minute
	maxAnswerBytes = 32 << 20
)

// ingestURL returns the address that events of a stream are posted to, and for a unix socket its path.
// It takes http://host:port, host:port, and unix:///path.
func ingestURL(server, stream string) (target, socket string, err error) {
	if socket, ok := strings.CutPrefix(server, "unix://"); ok {
		if socket == "" || socket[0] != '/' {
			return "", "", fmt.Errorf("%q is not a socket; write unix:// and an absolute path", server)
		}
		return "http://unix" + ingestPath("", stream), socket, nil
	}
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	u, err := url.Parse(server)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" {
		return "", "", fmt.Errorf("the server's address is not a URL; write for example http://127.0.0.1:8080")
	}
	u.Path = ingestPath(u.Path, stream)
	return u.String(), "", nil
}

func ingestPath(base, stream string) string {
	base = strings.TrimSuffix(strings.TrimSuffix(base, "/"), "/ingest")
	if stream == DefaultStream {
		stream = ""
	}
	return path.Join("/", base, "ingest", stream)
}

// dialAddress turns an address to listen on into one to connect to.
func dialAddress(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

func newHTTPClient(socket string, connections int) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = connections
	transport.DisableCompression = true
	if socket != "" {
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}
	}
	return &http.Client{
		Transport: transport,
		// A redirected POST would lose its body or go where nobody meant it to.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// post sends a body until the service answers it for good, ctx ends or patience does. The answer may
// be a refusal; the caller looks at its status. A request under way is not cut off when ctx ends.
func (c *ingestClient) post(ctx context.Context, body []byte, contentType string) (*ingestAnswer, error) {
	encoded, err := c.encode(body)
	if err != nil {
		return nil, err
	}
	begin := c.now()
	for attempt := 0; ; attempt++ {
		answer, err := c.attempt(context.WithoutCancel(ctx), encoded, contentType)
		retry, again := errors.AsType[*retryError](err)
		if !again {
			return answer, err
		}
		if c.giveUp > 0 && c.now().Sub(begin) >= c.giveUp {
			return nil, fmt.Errorf("gave up after %s: %w", Duration(c.giveUp), retry.err)
		}
		if attempt == 0 {
			c.notice(retry.err.Error())
		}
		if err := c.wait(ctx, pauseBefore(attempt, retry.after)); err != nil {
			return nil, fmt.Errorf("%w while waiting to send again: %w", context.Cause(ctx), retry.err)
		}
	}
}

// pauseBefore grows with each attempt and is spread out, so that many senders do not return at once.
func pauseBefore(attempt int, asked time.Duration) time.Duration {
	if asked > 0 {
		return min(asked, retryAfterMax) + mathrand.N(retryPauseMin)
	}
	pause := retryPauseMin << min(attempt, 10)
	pause = min(pause, retryPauseMax)
	return pause/2 + mathrand.N(pause/2)
}

func (c *ingestClient) encode(body []byte) ([]byte, error) {
	if !c.compress {
		return body, nil
	}
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err == nil {
		_, err = z.Write(body)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("compress body: %w", err)
	}
	return out.Bytes(), nil
}

// attempt sends a body once. Where nobody knows whether it was stored, the error asks to send again.
func (c *ingestClient) attempt(ctx context.Context, body []byte, contentType string) (*ingestAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	id := requestID()
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("X-Request-Id", id)
	req.Header.Set("User-Agent", "weir-send")
	if c.compress {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &retryError{err: err}
	}
	defer func() { _ = resp.Body.Close() }() // read only
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return nil, &retryError{err: fmt.Errorf("read answer: %w", err)}
	}
	return c.judge(resp, text, id)
}

// judge sorts answers: final ones are returned, the others are errors. An answer that counts events
// must be the one to this request, else it proves nothing.
func (c *ingestClient) judge(resp *http.Response, text []byte, id string) (*ingestAnswer, error) {
	answer := &ingestAnswer{Status: resp.StatusCode}
	jsonErr := json.Unmarshal(text, answer)
	after := retryAfter(resp.Header.Get("Retry-After"), c.now())
	switch status := resp.StatusCode; {
	case status == http.StatusAccepted || status == http.StatusBadRequest:
		if got := resp.Header.Get("X-Request-Id"); got != id {
			return nil, fmt.Errorf("the answer %d carries X-Request-Id %q instead of %q: this is not a weir, or something between mixes answers up", status, got, id)
		}
		if jsonErr != nil && status == http.StatusAccepted {
			return nil, fmt.Errorf("the answer %d is not JSON: %w", status, jsonErr)
		}
		return answer, nil
	case status == http.StatusRequestEntityTooLarge:
		return answer, nil
	case status == http.StatusServiceUnavailable, status >= 500 && status != http.StatusNotImplemented,
		// These two say that nothing was stored; the service itself must ask for another try.
		answer.Error.Retry && (status == http.StatusRequestTimeout || status == http.StatusTooManyRequests):
		return nil, &retryError{after: after, err: fmt.Errorf("%s answered %s", c.shown, answer)}
	}
	return nil, fmt.Errorf("%s answered %s", c.shown, answer)
}

// retryAfter reads the header in both of its forms: seconds, or a date.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(min(max(seconds, 0), 1<<20)) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

func requestID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return "send-" + hex.EncodeToString(b[:])
}

// sleepContext waits, or returns ctx's error when that ends first.
func sleepContext(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
