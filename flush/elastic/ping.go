package elastic

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/weirlog/weir/flush"
)

// Ping asks one of the addresses who is there. Its errors are *flush.RequestError and say what
// to do. A key that may only write is refused here (403) and may deliver all the same.
func (s *Sink) Ping(ctx context.Context) (Info, error) {
	requestCtx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	info, f := s.ask(ctx, requestCtx)
	if f != nil {
		return Info{}, s.advise(f.RequestError)
	}
	s.detected.found(info)
	return info, nil
}

// ask asks any of the nodes who is there.
func (s *Sink) ask(caller, ctx context.Context) (Info, *fault) {
	res, n, f := s.do(caller, ctx, pingRequest)
	if f != nil {
		return Info{}, f
	}
	defer res.Body.Close()
	info, e := s.readInfo(res)
	if e = s.answered(n, e); e != nil {
		return Info{}, &fault{RequestError: e}
	}
	return info, nil
}

// askNode asks one node, whatever its state.
func (s *Sink) askNode(caller, ctx context.Context, n *node) (Info, *flush.RequestError) {
	res, f := s.attempt(caller, ctx, n, pingRequest)
	if f != nil {
		return Info{}, f.RequestError
	}
	defer res.Body.Close()
	return s.readInfo(res)
}

var pingRequest = request{method: http.MethodGet, path: "/", header: http.Header{"Accept": {"application/json"}}}

func (s *Sink) readInfo(res *http.Response) (Info, *flush.RequestError) {
	body := readSome(res.Body)
	if res.StatusCode != http.StatusOK {
		return Info{}, s.statusError(res.StatusCode, res.Header, body)
	}
	info, err := parseInfo(body)
	if err != nil {
		return Info{}, &flush.RequestError{Cause: causeUntrusted, Status: res.StatusCode, Verdict: flush.Park, Err: err}
	}
	if text := info.tooOld(); text != "" {
		return info, productError(text)
	}
	return info, nil
}

// advice says what to do about a cause.
var advice = map[string]string{
	causeRefused:     "nothing listens there: is it running, and is the port right?",
	causeTimeout:     "no answer in time: is the address right, and does a firewall stand between?",
	causeUnreachable: "no route to it: is the address right?",
	causeDNS:         "the name does not resolve: is it spelled right?",
	causeTLS:         "check http against https, the certificate's name, and the configured CA file or fingerprint",
	causeReset:       "it hung up: does it speak https while the address says http?",
	causeClosed:      "it hung up: does it speak https while the address says http?",
	causeUntrusted:   "is this the HTTP port of Elasticsearch or OpenSearch?",
	"status_401":     "check the user name and password or the API key",
	"status_403":     "the credentials are known but may not ask for the version (privilege monitor); delivery may work",
	"status_404":     "is the path of the address right?",
}

// advise adds hosts and advice to an error.
func (s *Sink) advise(e *flush.RequestError) *flush.RequestError {
	if errors.Is(e.Err, context.Canceled) {
		return e
	}
	text := strings.TrimSuffix(s.name+": "+advice[e.Cause], ": ")
	e.Err = fmt.Errorf("%s: %w", text, e.Err)
	return e
}
