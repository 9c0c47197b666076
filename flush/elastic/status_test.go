package elastic

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, tt := range []struct {
		name, value, date string
		want              time.Duration
	}{
		{"none", "", "", 0},
		{"seconds", "30", "", 30 * time.Second},
		{"white space", " 30 ", "", 30 * time.Second},
		{"zero", "0", "", 0},
		{"negative", "-5", "", 0},
		{"fraction", "1.5", "", 0},
		{"days", "86400", "", time.Hour},
		{"more than fits", "99999999999999999999", "", 0},
		{"words", "soon", "", 0},
		{"date", at(time.Minute), "", time.Minute},
		{"date in the past", at(-time.Minute), "", 0},
		{"date far away", at(1000 * time.Hour), "", time.Hour},
		{"date by the server's clock, which is ahead", at(time.Minute), at(40 * time.Second), 20 * time.Second},
		{"date with a server's clock that is none", at(time.Minute), "yesterday", time.Minute},
	} {
		h := http.Header{}
		h.Set("Retry-After", tt.value)
		h.Set("Date", tt.date)
		if got := retryAfter(h, now); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// The label of a metric has bounded values, whatever a server answers.
func TestStatusCause_Bounded(t *testing.T) {
	causes := make(map[string]bool)
	for status := range 2000 {
		causes[statusCause(status)] = true
	}
	if len(causes) > 20 {
		t.Errorf("%d causes: %v", len(causes), causes)
	}
}
