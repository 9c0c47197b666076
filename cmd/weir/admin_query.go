package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirlog/weir/wal"
)

// maxQueryValues bounds how often a parameter may be given.
const maxQueryValues = 2000

// query reads the parameters of a request. A name that the route does not know is an error: a misspelt
// filter must not choose everything.
type query struct {
	values url.Values
	now    time.Time
	err    error
}

func (a *admin) query(r *http.Request, known ...string) (*query, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("the query string cannot be read: %s", err)
	}
	for name, given := range values {
		if !slices.Contains(known, name) {
			return nil, badRequest("unknown parameter %q; this route knows %s", name, strings.Join(known, ", "))
		}
		if len(given) > maxQueryValues {
			return nil, badRequest("parameter %q is given more than %d times", name, maxQueryValues)
		}
	}
	return &query{values: values, now: a.now()}, nil
}

func (q *query) text(name string) string { return q.values.Get(name) }

func (q *query) fail(err error) {
	if q.err == nil {
		q.err = err
	}
}

// number returns a parameter that is a whole number and not negative; 0 when it is not given.
func (q *query) number(name string) int {
	s := q.values.Get(name)
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		q.fail(badRequest("%s is %q; write a whole number", name, s))
	}
	return n
}

func (q *query) offset(name string) wal.Offset {
	s := q.values.Get(name)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		q.fail(badRequest("%s is %q; write an offset, a whole number", name, s))
	}
	return wal.Offset(n)
}

func (q *query) when(name string) time.Time {
	t, err := parseWhen(q.values.Get(name), q.now)
	if err != nil {
		q.fail(badRequest("%s: %s", name, err))
	}
	return t
}

func (q *query) flag(name string) bool {
	switch s := q.values.Get(name); s {
	case "", "0", "false":
		return false
	case "1", "true":
		return true
	default:
		q.fail(badRequest("%s is %q; write true or false", name, s))
		return false
	}
}

// parseWhen reads a point in time: RFC 3339, a date, or how long before now. "" is the zero time.
func parseWhen(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	span := s
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseFloat(days, 64); err == nil && n >= 0 && n < 1e5 {
			span = fmt.Sprintf("%fh", n*24)
		}
	}
	d, err := time.ParseDuration(span)
	if err != nil || d < 0 {
		return time.Time{}, fmt.Errorf("%q is no time; write how long ago (15m, 1h, 2d), a date (2026-01-31) or 2026-01-31T12:00:00Z", s)
	}
	return now.Add(-d), nil
}

// readJSON reads a body of at most limit bytes into v; members that v does not have are errors.
func readJSON(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil && dec.More() {
		err = errors.New("there is more than one value")
	}
	var tooLarge *http.MaxBytesError
	if err != nil && !errors.As(err, &tooLarge) {
		return badRequest("the body cannot be read: %s", err)
	}
	return err
}
