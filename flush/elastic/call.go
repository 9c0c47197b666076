package elastic

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/weirlog/weir/flush"
)

// reply is what a server says to one request that is not about documents.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// ok reports whether what was asked for was done or is there.
func (a reply) ok() bool { return a.status/100 == 2 }

// lacks reports whether the server has no such function, as against refusing it: it does not know the path, or the privilege
// to use it has no name there.
func (a reply) lacks() bool {
	if a.status == http.StatusMethodNotAllowed || a.status == http.StatusGone {
		return true
	}
	typ, reason := errorOf(a.body)
	return a.status == http.StatusBadRequest && typ == "" && strings.HasPrefix(reason, "no handler found")
}

// exchange makes a request that any node may answer, and returns what it answers, whatever that is, up to most bytes of it. query
// and body may be nil. An error is a *flush.RequestError and means that there was no answer.
func (s *Sink) exchange(ctx context.Context, method, path string, query url.Values, body []byte, most int64) (reply, *node, error) {
	r := request{method: method, path: path, query: query, text: body, header: http.Header{"Accept": {"application/json"}}}
	if body != nil {
		r.header["Content-Type"] = []string{"application/json"}
	}
	requestCtx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	res, n, f := s.do(ctx, requestCtx, r)
	if f != nil {
		return reply{}, nil, s.advise(f.RequestError)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, most))
	if err != nil {
		return reply{}, nil, s.connectionError(ctx, err)
	}
	return reply{res.StatusCode, res.Header, text}, n, nil
}

// call is exchange for questions that a search server answers: an answer of somebody else, or of a node that is not well, is a
// *flush.RequestError too. body is sent as JSON unless it is nil.
func (s *Sink) call(ctx context.Context, method, path string, query url.Values, body any) (reply, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return reply{}, &flush.RequestError{Cause: causeEncode, Err: err}
		}
	}
	a, n, err := s.exchange(ctx, method, path, query, text, maxErrorBody)
	if err != nil {
		return reply{}, err
	}
	var e *flush.RequestError
	if !a.ok() {
		refused := s.statusError(a.status, a.header, a.body)
		if a.status == http.StatusUnauthorized || isNodeFault(refused) && !a.lacks() {
			e = refused
		}
	}
	if e = s.answered(n, e); e != nil {
		return reply{}, s.advise(e)
	}
	return a, nil
}

// IsDataStream reports whether a name is that of a data stream, and whether the server said so at all.
func (s *Sink) IsDataStream(ctx context.Context, name string) (yes, known bool) {
	a, err := s.call(ctx, http.MethodGet, "/_data_stream/"+name, nil, nil)
	switch {
	case err != nil:
		return false, false
	case a.ok():
		return true, true
	}
	return false, a.status == http.StatusNotFound
}

// MissingPrivileges returns which privileges on an index the credentials lack to deliver to it, and whether the server said so
// at all: without its security, or with another one, it does not.
func (s *Sink) MissingPrivileges(ctx context.Context, index string, op flush.Op) (missing []string, known bool) {
	need := []string{"create_doc", "auto_configure"}
	if op == flush.OpIndex {
		need[0] = "index"
	}
	a, err := s.call(ctx, http.MethodPost, "/_security/user/_has_privileges", nil, map[string]any{
		"index": []any{map[string]any{"names": []string{index}, "privileges": need}},
	})
	var said struct {
		Index map[string]map[string]bool `json:"index"`
	}
	if err != nil || !a.ok() || json.Unmarshal(a.body, &said) != nil || len(said.Index[index]) != len(need) {
		return nil, false
	}
	for _, name := range need {
		if !said.Index[index][name] {
			missing = append(missing, name)
		}
	}
	return missing, true
}
