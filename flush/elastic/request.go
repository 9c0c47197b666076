package elastic

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/weirlog/weir/flush"
)

// request is what goes to one of the nodes, whichever that will be.
type request struct {
	method string
	path   string // below the node's own
	query  url.Values
	header http.Header // not changed
	bulk   *bulk       // the body, or nil
	text   []byte      // the body when there is no bulk, or nil
}

// fault is a request without an answer.
type fault struct {
	*flush.RequestError
	// unsent: no connection came about, so that no server saw any of it.
	unsent bool
}

// do sends a request and returns the answer and the node that gave it. A node that cannot be reached costs no more than the
// attempt: the request goes to the next one that is well. Once a connection was there, bytes may have been sent, and what became
// of them is not known: that is for the flusher to decide. caller is the context whose end is not the node's fault.
func (s *Sink) do(caller, ctx context.Context, r request) (*http.Response, *node, *fault) {
	n, suspect := s.nodes.next()
	tried := map[*node]bool{}
	for {
		tried[n] = true
		var res *http.Response
		var f *fault
		if suspect {
			f = s.prove(caller, ctx, n)
		}
		if f == nil {
			if res, f = s.attempt(caller, ctx, n, r); f == nil {
				return res, n, nil
			}
		}
		if f.Cause == causeCanceled {
			return nil, n, f
		}
		s.nodes.failed(n, f.RequestError)
		next := s.nodes.another(tried)
		if next == nil || !f.unsent || ctx.Err() != nil {
			f.Verdict = s.softened(f.Verdict)
			return nil, n, f
		}
		s.metrics.addFailover()
		n, suspect = next, false
	}
}

// attempt makes the request once, to one node.
func (s *Sink) attempt(caller, ctx context.Context, n *node, r request) (*http.Response, *fault) {
	var connected atomic.Bool
	// A connection that was kept and turned out to be dead is replaced before a byte of the request was written to it; what counts
	// is the last one.
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { connected.Store(false) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	res, err := n.client.Perform(r.httpRequest(ctx))
	if err != nil {
		return nil, &fault{RequestError: s.connectionError(caller, err), unsent: !connected.Load()}
	}
	return res, nil
}

// httpRequest returns the request without the node, whose client adds address, credentials and headers.
func (r *request) httpRequest(ctx context.Context) *http.Request {
	header := r.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	u := &url.URL{Path: r.path, RawQuery: r.query.Encode()}
	req := (&http.Request{Method: r.method, URL: u, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	switch {
	case r.bulk != nil: // the library would send chunks of a total that it does not know
		req.Body, req.ContentLength, req.GetBody = r.bulk.reader(), r.bulk.size, r.bulk.again
	case r.text != nil:
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.text)), nil }
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(r.text)), int64(len(r.text))
	}
	return req
}

// proofTimeout is how long a node that failed has to show that it is well again, while a batch waits that another node would take.
const proofTimeout = 2 * time.Second

// prove asks a node that failed the last time who it is, so that no batch waits for one that hangs, and none is sent to one
// that answers with a page.
func (s *Sink) prove(caller, ctx context.Context, n *node) *fault {
	ctx, cancel := context.WithTimeout(ctx, min(proofTimeout, s.timeout/4)) // the rest is for the batch
	defer cancel()
	_, e := s.askNode(caller, ctx, n)
	if e == nil || e.Status != 0 && !isNodeFault(e) {
		return nil
	}
	return &fault{RequestError: e, unsent: true} // of the request that waits, nothing was
}

// answered notes what an answer says about the node that gave it, and returns what the answer is to mean: an operator need
// not act when another node may do better, and how long one of them wants to be left alone does not bind the others.
func (s *Sink) answered(n *node, e *flush.RequestError) *flush.RequestError {
	if e == nil || !isNodeFault(e) {
		if e == nil || e.Cause != causeCanceled {
			s.nodes.succeeded(n)
		}
		return e
	}
	s.nodes.failed(n, e)
	e.Verdict = s.softened(e.Verdict)
	if s.nodes.well() {
		e.RetryAfter = 0
	}
	return e
}

// softened is the verdict on a request that failed at one node, seen for all of them.
func (s *Sink) softened(v flush.Verdict) flush.Verdict {
	if v == flush.Park && !s.nodes.hopeless() {
		return flush.Retry
	}
	return v
}

// isNodeFault reports whether an answer speaks of the node, or of something in front of it, and not of the cluster, the
// credentials or the documents.
func isNodeFault(e *flush.RequestError) bool {
	switch e.Cause {
	case causeCanceled, causeEncode, causeProduct:
		return false
	}
	switch e.Status {
	case 0, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
		return false
	}
	// What no search server says has no type: a redirect, a login page, a proxy that knows no such path.
	return e.Cause == causeUntrusted || e.Status < 500 && e.Type == ""
}
