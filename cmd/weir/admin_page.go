package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weirlog/weir/flush/deadletter"
	"github.com/weirlog/weir/flush/local"
)

//go:embed admin
var adminFiles embed.FS

var pageTemplate = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"bytes": humanBytes,
	"count": func(n uint64) string { return humanCount(n) },
	"rate":  rateText,
	"safe":  printable,
	"state": stateText,
	"lines": printableLines,
	"whole": func(n int) string { return humanCount(n) },
}).ParseFS(adminFiles, "admin/page.html"))

// assetTypes are the files that the page may load, besides which nothing is served.
var assetTypes = map[string]string{
	"page.css":    "text/css; charset=utf-8",
	"page.js":     "text/javascript; charset=utf-8",
	"favicon.svg": "image/svg+xml",
}

func getAsset(w http.ResponseWriter, r *http.Request) error {
	contentType, ok := assetTypes[r.PathValue("name")]
	if !ok {
		return apiErrorf(http.StatusNotFound, "not_found", "there is nothing at this path")
	}
	b, err := adminFiles.ReadFile("admin/" + r.PathValue("name"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentType)
	_, err = w.Write(b)
	return err
}

// pageView is what the template shows.
type pageView struct {
	*statusReport
	Refresh  bool // the page may replace itself: nobody reads a result
	Uptime   string
	Oldest   string
	LogShare int // of 100
	Causes   []causeView
	Letters  uint64
	Curves   *curves
	// ShowAside says that something was set aside, now or earlier.
	ShowAside bool
	Search    *pageSearch  // nil when there is nothing to search in
	Tried     []scriptView // with reports
}

type causeView struct {
	deadletter.Group
	Seen string
}

// pageSearch is the search box and, once asked, its result.
type pageSearch struct {
	Query     string
	Asked     bool
	Problem   string
	Total     uint64
	Took      time.Duration
	Hits      []pageHit
	Truncated bool
}

type pageHit struct {
	ReceivedAt time.Time
	Index, ID  string
	Summary    string
	Source     string
}

const (
	pageHits         = 25
	pageSummaryBytes = 240
	pageSourceBytes  = 64 << 10
)

func (a *admin) getPage(w http.ResponseWriter, r *http.Request) error {
	q, err := a.query(r, "q")
	if err != nil {
		return err
	}
	view, err := a.pageView(r.Context(), q)
	if err != nil {
		return err
	}
	var page bytes.Buffer // whole before the first byte goes out, so that a fault is a 500
	if err := pageTemplate.Execute(&page, view); err != nil {
		return fmt.Errorf("make page: %w", err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err = page.WriteTo(w)
	return err
}

func (a *admin) pageView(ctx context.Context, q *query) (*pageView, error) {
	st := a.status()
	view := &pageView{statusReport: st, Uptime: humanDuration(time.Duration(st.UptimeSeconds * float64(time.Second))), Refresh: !q.values.Has("q")}
	view.Tried = a.scriptViews(true)
	view.ShowAside = st.SetAside.any() || st.Repair.Files > 0
	if st.Log != nil && st.Log.MaxBytes > 0 {
		view.LogShare = int(min(100, (st.Log.Bytes*100+st.Log.MaxBytes-1)/st.Log.MaxBytes))
	}
	if st.Flush != nil && !st.Flush.OldestUnsettled.IsZero() {
		view.Oldest = humanDuration(max(0, st.Now.Sub(st.Flush.OldestUnsettled)))
	}
	for _, s := range []*deadletter.Status{st.DeadLetters, st.Refused} {
		if s != nil {
			for _, n := range s.Records {
				view.Letters += n
			}
		}
	}
	groups, err := a.causes(ctx)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		view.Causes = append(view.Causes, causeView{g, ago(a.now(), g.Last)})
	}
	if st.Rates != nil {
		view.Curves = newCurves(st.Rates)
	}
	if a.store != nil {
		view.Search, err = a.pageSearch(ctx, q)
	}
	return view, err
}

func (a *admin) pageSearch(ctx context.Context, q *query) (*pageSearch, error) {
	s := &pageSearch{Query: q.text("q"), Asked: q.values.Has("q")}
	if !s.Asked {
		return s, nil
	}
	res, err := a.store.Search(ctx, local.Query{Text: s.Query, Limit: pageHits})
	var fault *local.QueryError
	if errors.As(err, &fault) {
		s.Problem = fault.Error()
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	s.Total, s.Took, s.Truncated = res.Total, res.Took.Round(100*time.Microsecond), res.Truncated
	for _, h := range res.Hits {
		s.Hits = append(s.Hits, pageHit{
			ReceivedAt: h.ReceivedAt, Index: h.Index, ID: h.ID, Summary: summarise(h.Source), Source: pretty(h.Source),
		})
	}
	return s, nil
}

// summarise returns the beginning of an event on one line.
func summarise(source []byte) string {
	var fields struct {
		Level   any `json:"level_name"`
		Channel any `json:"channel"`
		Message any `json:"message"`
	}
	text := string(source)
	if json.Unmarshal(source, &fields) == nil && fields.Message != nil {
		text = ""
		for _, part := range []any{fields.Level, fields.Channel, fields.Message} {
			if s, ok := part.(string); ok {
				text += s + "  "
			}
		}
		if text == "" {
			text = string(source)
		}
	}
	return cutText(printable(strings.TrimSpace(text)), pageSummaryBytes)
}

// pretty lays an event out over lines, values spelled as they came.
func pretty(source []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, source, "", "  ") != nil {
		b.Reset()
		b.Write(source)
	}
	return cutText(printableLines(b.String()), pageSourceBytes)
}

// cutText shortens text without splitting a character, and says so.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}

// curves are accepted and settled events a second of the last minutes, as points of two lines.
type curves struct {
	Accepted, Settled string
	Peak              string
	Minutes           string
}

const (
	curveWidth  = 600
	curveHeight = 80
)

func newCurves(r *rates) *curves {
	peak := 1.0
	for _, list := range [][]float64{r.History, r.Drained} {
		for _, v := range list {
			peak = math.Max(peak, v)
		}
	}
	return &curves{
		Accepted: points(r.History, peak), Settled: points(r.Drained, peak), Peak: rateText(peak),
		Minutes: humanDuration(time.Duration(len(r.History)) * sampleEvery),
	}
}

func points(values []float64, peak float64) string {
	var b strings.Builder
	for i, v := range values {
		x := curveWidth * float64(i+sampleCount-1-len(values)) / (sampleCount - 2)
		fmt.Fprintf(&b, "%.1f,%.1f ", x, 2+(curveHeight-4)*(1-v/peak))
	}
	return b.String()
}

func rateText(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return humanCount(int64(math.Round(v)))
}
