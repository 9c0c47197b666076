package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/weirlog/weir/flush/deadletter"
	"github.com/weirlog/weir/flush/local"
	"github.com/weirlog/weir/ingest"
	"github.com/weirlog/weir/wal"
)

// apiError is an answer that is not what was asked for. Its JSON has the shape of the ingest
// listener's errors.
type apiError struct {
	status  int
	code    string
	message string
	retry   bool
}

func (e *apiError) Error() string { return e.message }

func apiErrorf(status int, code, format string, args ...any) *apiError {
	return &apiError{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) *apiError {
	return apiErrorf(http.StatusBadRequest, "bad_request", format, args...)
}

// errorBody is the JSON of an apiError.
type errorBody struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Retry   bool   `json:"retry"`
}

func (e *apiError) body() errorBody { return errorBody{errorDetail{e.code, e.message, e.retry}} }

// apiFunc answers one request, or returns why it cannot. Once it has written, an error ends the answer.
type apiFunc func(w http.ResponseWriter, r *http.Request) error

// api makes a handler of an apiFunc.
func (a *admin) api(f apiFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tracked := &startedWriter{ResponseWriter: w}
		err := f(tracked, r)
		if err == nil {
			return
		}
		e := a.explain(r, err)
		if !tracked.started {
			writeError(w, e)
			return
		}
		// The status is out; a line of the stream says how it ended.
		_ = json.NewEncoder(w).Encode(e.body())
	})
}

// startedWriter notes whether the answer has begun.
type startedWriter struct {
	http.ResponseWriter
	started bool
}

func (w *startedWriter) WriteHeader(status int) {
	w.started = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *startedWriter) Write(b []byte) (int, error) {
	w.started = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController through.
func (w *startedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// explain gives an error its status and code. What is none of the caller's fault is logged.
func (a *admin) explain(r *http.Request, err error) *apiError {
	var (
		known    *apiError
		query    *local.QueryError
		syntax   *ingest.SyntaxError
		tooLarge *http.MaxBytesError
	)
	switch {
	case r.Context().Err() != nil:
		// The client went away, and nobody reads this; or the service stops, and the client must not take
		// what it has for the whole.
		return &apiError{status: http.StatusServiceUnavailable, code: "cut_off", message: "the request was cut off before its end: the service is stopping", retry: true}
	case errors.As(err, &known):
		return known
	case errors.As(err, &query):
		return apiErrorf(http.StatusBadRequest, "bad_query", "%s", query)
	case errors.As(err, &syntax):
		return apiErrorf(http.StatusBadRequest, syntax.Code, "the event is refused at byte %d: %s", syntax.Position, syntax.Message)
	case errors.As(err, &tooLarge):
		return apiErrorf(http.StatusRequestEntityTooLarge, "body_too_large", "the body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, deadletter.ErrUnknownKey):
		return apiErrorf(http.StatusNotFound, "unknown_key", "no dead letter has this key; it may have been settled meanwhile")
	case errors.Is(err, deadletter.ErrLetterDamaged):
		return apiErrorf(http.StatusUnprocessableEntity, "letter_damaged", "%s", err)
	case errors.Is(err, deadletter.ErrEmptyEvent):
		return apiErrorf(http.StatusBadRequest, "empty_event", "the event is empty")
	case errors.Is(err, deadletter.ErrReplayRunning):
		return &apiError{status: http.StatusConflict, code: "replay_running", message: "another replay is running; wait for it to end", retry: true}
	case errors.Is(err, deadletter.ErrClosed), errors.Is(err, local.ErrClosed), errors.Is(err, wal.ErrClosed):
		return &apiError{status: http.StatusServiceUnavailable, code: "shutting_down", message: "the service is stopping", retry: true}
	}
	a.logger.Error("admin request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	return apiErrorf(http.StatusInternalServerError, "internal", "%s", err)
}

func writeError(w http.ResponseWriter, e *apiError) {
	writeJSON(w, e.status, e.body())
}

// writeJSON answers with one value. A client that went away is no concern of ours.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}

// writeNoRoute answers what no route takes: 404, or 405 with the methods that would be.
func writeNoRoute(w http.ResponseWriter, r *http.Request, refused http.Handler) {
	verdict := &discardedAnswer{header: http.Header{}}
	refused.ServeHTTP(verdict, r)
	if verdict.status == http.StatusMethodNotAllowed {
		allow := verdict.header.Get("Allow")
		w.Header().Set("Allow", allow)
		writeError(w, apiErrorf(http.StatusMethodNotAllowed, "method_not_allowed", "this path takes %s", allow))
		return
	}
	writeError(w, apiErrorf(http.StatusNotFound, "not_found", "there is nothing at this path; see docs/operations.md"))
}

// discardedAnswer keeps status and header of an answer and forgets its body.
type discardedAnswer struct {
	header http.Header
	status int
}

func (d *discardedAnswer) Header() http.Header { return d.header }

func (d *discardedAnswer) WriteHeader(status int) { d.status = status }

func (d *discardedAnswer) Write(b []byte) (int, error) { return len(b), nil }

func (a *admin) getLive(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, map[string]bool{"live": true})
	return nil
}

// getReady says whether an append would succeed now. Only those who may see more hear why it would not.
func (a *admin) getReady(w http.ResponseWriter, r *http.Request) error {
	err := a.notReady()
	if err == nil {
		writeJSON(w, http.StatusOK, map[string]bool{"ready": true})
		return nil
	}
	reason := err.Error()
	if token := a.cfg.Admin.Token.Reveal(); token != "" && !authorised(token, r) {
		reason = "new events are refused at present"
	}
	w.Header().Set("Retry-After", "5")
	return &apiError{status: http.StatusServiceUnavailable, code: "not_ready", message: reason, retry: true}
}

func (a *admin) notReady() error {
	if a.ready == nil {
		return errors.New("no service runs")
	}
	return a.ready()
}
