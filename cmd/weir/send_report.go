package main

import (
	"fmt"
	"strings"
	"time"
)

// sendReport is what weir send prints at its end.
type sendReport struct {
	Counts      sendCounts      `json:"counts"`
	Seconds     float64         `json:"seconds"`
	DryRun      bool            `json:"dry_run"`
	Interrupted bool            `json:"interrupted"`
	Failed      int             `json:"failed_sources"`
	NotTried    int             `json:"sources_not_tried"`
	Sources     []*sourceReport `json:"sources"`
	Refused     []refusedEvent  `json:"refused"`       // the first of them
	Dead        []refusedEvent  `json:"dead_lettered"` // likewise
}

// sourceReport is what became of one source in this run.
type sourceReport struct {
	Source      string     `json:"source"`
	Counts      sendCounts `json:"counts"`
	Requests    int        `json:"-"`
	Resumed     bool       `json:"resumed"`
	Interrupted bool       `json:"interrupted"`
	Removed     bool       `json:"removed"`
	Error       string     `json:"error,omitempty"`

	refused, dead []refusedEvent
	read          int64 // raw bytes that the progress bar knows of
	noState       bool
}

func (s *sourceReport) take(b *sendBatch) {
	s.Counts.add(b.counts)
	s.refused = appendBounded(s.refused, b.refused)
	s.dead = appendBounded(s.dead, b.dead)
}

func appendBounded(dst, src []refusedEvent) []refusedEvent {
	return append(dst, src[:min(len(src), maxReported-len(dst))]...)
}

func (r *sendReport) add(s *sourceReport) {
	r.Sources = append(r.Sources, s)
	r.Counts.add(s.Counts)
	r.Refused = appendBounded(r.Refused, s.refused)
	r.Dead = appendBounded(r.Dead, s.dead)
	if s.Error != "" {
		r.Failed++
	}
}

// print writes the report and returns errReported when anything is left undone.
func (r *sendReport) print(a *app, format outputFormat) error {
	if format != outputTable {
		r.Refused, r.Dead = notNil(r.Refused), notNil(r.Dead)
		r.Sources = notNil(r.Sources)
		if err := format.write(a.stdout, r); err != nil {
			return err
		}
	} else if err := r.text(a); err != nil {
		return err
	}
	if r.Failed > 0 || r.Counts.Refused > 0 || r.Interrupted {
		return errReported
	}
	return nil
}

func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func (r *sendReport) text(a *app) error {
	for _, s := range r.Sources {
		if s.Error != "" {
			fmt.Fprintf(a.stderr, "weir: %s: %s\n", printable(s.Source), printableLines(s.Error))
		}
	}
	r.list(a, "refused", r.Refused, r.Counts.Refused)
	r.list(a, "accepted as dead letters, see weir dlq ls --stage ingest", r.Dead, r.Counts.DeadLettered)
	if r.NotTried > 0 {
		fmt.Fprintf(a.stderr, "weir: %d further sources were not tried\n", r.NotTried)
	}
	if r.Interrupted {
		fmt.Fprintln(a.stderr, "weir: interrupted; the same command goes on behind the last acknowledged event"+r.notResumable())
	}
	_, err := fmt.Fprintln(a.stdout, r.summary())
	return err
}

func (r *sendReport) notResumable() string {
	for _, s := range r.Sources {
		if s.Interrupted && s.Source == (sendSource{path: "-"}).name() {
			return fmt.Sprintf(" (not for standard input, of which %s events were acknowledged)", humanCount(s.Counts.Accepted+s.Counts.DeadLettered))
		}
	}
	return ""
}

func (r *sendReport) list(a *app, what string, events []refusedEvent, total int64) {
	if len(events) == 0 {
		return
	}
	fmt.Fprintf(a.stderr, "%s events %s:\n", humanCount(total), what)
	for _, e := range events {
		fmt.Fprintf(a.stderr, "  %s:%d: %s: %s\n", printable(e.Source), e.Line, printable(e.Code), printable(e.Message))
	}
	if more := total - int64(len(events)); more > 0 {
		fmt.Fprintf(a.stderr, "  and %s more\n", humanCount(more))
	}
}

func (r *sendReport) summary() string {
	c := r.Counts
	var parts []string
	count := func(n int64, what string) {
		if n > 0 {
			parts = append(parts, humanCount(n)+" "+what)
		}
	}
	if r.DryRun {
		count(c.Refused, "would be refused or dead-lettered")
		return fmt.Sprintf("checked %s events (%s) of %d sources, sent nothing: %s", humanCount(c.Events), humanBytes(c.Bytes),
			len(r.Sources), orElse(strings.Join(parts, ", "), "all are valid"))
	}
	count(c.Accepted, "accepted")
	count(c.DeadLettered, "dead-lettered")
	count(c.Refused, "refused")
	span := time.Duration(r.Seconds * float64(time.Second))
	text := fmt.Sprintf("sent %s events (%s) of %d sources in %s", humanCount(c.Events), humanBytes(c.Bytes), len(r.Sources), humanDuration(span))
	if r.Seconds > 0 {
		text += fmt.Sprintf(", %s a second", humanCount(int64(float64(c.Events)/r.Seconds)))
	}
	return text + ": " + orElse(strings.Join(parts, ", "), "nothing to send")
}

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
