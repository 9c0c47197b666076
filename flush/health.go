package flush

import (
	"log/slog"
	"sync"
	"time"
)

// Failure is something that does not work now, or did not.
type Failure struct {
	Doing    string    `json:"doing"`
	Error    string    `json:"error"`
	Since    time.Time `json:"since"`
	Last     time.Time `json:"last"`
	Attempts int       `json:"attempts"`
}

// health remembers what fails, and logs when that changes: a line when something begins to fail, one a
// minute while it does, and one when it works again.
type health struct {
	logger *slog.Logger

	mu           sync.Mutex
	current      map[string]*Failure
	logged       map[string]time.Time
	last         *Failure
	lastDelivery time.Time
}

const logFailureEvery = time.Minute

func (h *health) failing(doing string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now().UTC()
	if h.current == nil {
		h.current, h.logged = map[string]*Failure{}, map[string]time.Time{}
	}
	c := h.current[doing]
	if c == nil {
		c = &Failure{Doing: doing, Since: now}
		h.current[doing] = c
	}
	c.Error, c.Last = err.Error(), now
	c.Attempts++
	last := *c
	h.last = &last
	if now.Sub(h.logged[doing]) >= logFailureEvery {
		h.logged[doing] = now
		h.logger.Warn("delivery is held up and will be tried again", "doing", doing, "error", err, "since", c.Since, "attempts", c.Attempts)
	}
}

func (h *health) ok(doing string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.current[doing]
	if c == nil {
		return
	}
	delete(h.current, doing)
	delete(h.logged, doing)
	h.logger.Info("works again", "doing", doing, "failed_for", time.Since(c.Since).Round(time.Millisecond), "attempts", c.Attempts)
}

// failed notes an error that others count and log.
func (h *health) failed(doing string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now().UTC()
	h.last = &Failure{Doing: doing, Error: err.Error(), Since: now, Last: now, Attempts: 1}
}

// delivered says that documents were stored.
func (h *health) delivered() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lastDelivery = time.Now().UTC()
}

func (h *health) status() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	st := Status{LastDelivery: h.lastDelivery, Failing: map[string]Failure{}}
	if h.last != nil {
		last := *h.last
		st.LastError = &last
	}
	for doing, c := range h.current {
		st.Failing[doing] = *c
	}
	return st
}
