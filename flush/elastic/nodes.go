package elastic

import (
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/elastic/go-elasticsearch/v8"

	"github.com/weirlog/weir/flush"
)

// nodes picks the node for each request, in turn. One that fails rests, longer each time; when all rest, the one whose
// rest ends first is tried.
type nodes struct {
	now func() time.Time

	mu   sync.Mutex
	all  []*node
	turn int
}

// node is one address.
type node struct {
	url       *url.URL
	client    *elasticsearch.BaseClient
	transport *http.Transport // of the client

	// Under nodes.mu.
	failures int       // in a row
	since    time.Time // of the first of them
	rested   time.Time // not chosen before, unless all rest
	verdict  flush.Verdict
	err      error
}

const (
	firstRest = time.Second
	maxRest   = 30 * time.Second
)

// NodeStatus is what is known of one address.
type NodeStatus struct {
	Host    string `json:"host"`
	Failing bool   `json:"failing"`
	// Since when it fails, until when it is left alone, and why; zero while it does not fail.
	Since      time.Time `json:"since,omitzero"`
	RestsUntil time.Time `json:"rests_until,omitzero"`
	Error      string    `json:"error,omitempty"`
}

// next returns the node for a request, and whether it has to prove itself first: it failed the last time, and
// there are others that did not.
func (p *nodes) next() (n *node, suspect bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	best := -1
	for i := range p.all {
		at := (p.turn + i) % len(p.all)
		if !p.all[at].rested.After(now) {
			best = at
			break
		}
		if best < 0 || p.all[at].rested.Before(p.all[best].rested) {
			best = at
		}
	}
	p.turn = best + 1
	n = p.all[best]
	if n.failures == 0 || !p.wellLocked(n) {
		return n, false
	}
	n.rested = now.Add(rest(n.failures)) // so that one request tries it, not all that are under way
	return n, true
}

// another returns a node that does not fail and has not been tried, or nil.
func (p *nodes) another(tried map[*node]bool) *node {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.all {
		if n := p.all[(p.turn+i)%len(p.all)]; n.failures == 0 && !tried[n] {
			p.turn += i + 1
			return n
		}
	}
	return nil
}

// well reports whether there is a node that does not fail.
func (p *nodes) well() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wellLocked(nil)
}

// wellLocked reports whether there is a node besides n that does not fail.
func (p *nodes) wellLocked(n *node) bool {
	for _, other := range p.all {
		if other != n && other.failures == 0 {
			return true
		}
	}
	return false
}

// succeeded ends a node's rests.
func (p *nodes) succeeded(n *node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n.failures, n.since, n.rested, n.err = 0, time.Time{}, time.Time{}, nil
}

// failed sends a node to rest.
func (p *nodes) failed(n *node, e *flush.RequestError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if n.failures == 0 {
		n.since = now
	}
	n.failures++
	n.rested = now.Add(rest(n.failures))
	n.verdict, n.err = e.Verdict, e.Err
}

// rest is how long a node rests after so many failures in a row.
func rest(failures int) time.Duration {
	return min(firstRest<<min(failures-1, 10), maxRest)
}

// hopeless reports whether every node was last found in a state that only an operator can change.
func (p *nodes) hopeless() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.all {
		if n.failures == 0 || n.verdict != flush.Park {
			return false
		}
	}
	return true
}

// status returns what is known of every node.
func (p *nodes) status() []NodeStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]NodeStatus, len(p.all))
	for i, n := range p.all {
		list[i] = NodeStatus{Host: n.url.Host}
		if n.failures > 0 {
			list[i].Failing, list[i].Since, list[i].RestsUntil, list[i].Error = true, n.since, n.rested, n.err.Error()
		}
	}
	return list
}

func (p *nodes) closeIdle() {
	for _, n := range p.all {
		n.transport.CloseIdleConnections()
	}
}
