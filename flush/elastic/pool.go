package elastic

import (
	"errors"
	"net/url"
	"sync"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
)

// addressPool picks the node for each request, in turn. A node that could not be reached rests, longer each time; when
// all rest, the one whose rest ends first is tried. The client's own pool starts a goroutine with a
// timer of minutes for every failed request, thousands of them during a long outage; this one keeps times.
type addressPool struct {
	now func() time.Time

	mu    sync.Mutex
	nodes []node
	turn  int
}

type node struct {
	conn     *elastictransport.Connection
	failures int
	rested   time.Time // not chosen before, unless all rest
}

const (
	firstRest = time.Second
	maxRest   = 30 * time.Second
)

var _ elastictransport.ConcurrentSafeConnectionPool = (*addressPool)(nil)

func newAddressPool(conns []*elastictransport.Connection, now func() time.Time) *addressPool {
	p := &addressPool{now: now}
	for _, c := range conns {
		p.nodes = append(p.nodes, node{conn: c})
	}
	return p
}

// Next returns the node for the next request.
func (p *addressPool) Next() (*elastictransport.Connection, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.nodes) == 0 {
		return nil, errors.New("no address")
	}
	now := p.now()
	best := -1
	for i := range p.nodes {
		at := (p.turn + i) % len(p.nodes)
		if !p.nodes[at].rested.After(now) {
			best = at
			break
		}
		if best < 0 || p.nodes[at].rested.Before(p.nodes[best].rested) {
			best = at
		}
	}
	p.turn = best + 1
	return p.nodes[best].conn, nil
}

// OnSuccess ends a node's rests. Any answer is a success here, whatever its status.
func (p *addressPool) OnSuccess(c *elastictransport.Connection) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.find(c); n != nil {
		n.failures, n.rested = 0, time.Time{}
	}
	return nil
}

// OnFailure sends a node to rest.
func (p *addressPool) OnFailure(c *elastictransport.Connection) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.find(c); n != nil {
		rest := min(firstRest<<min(n.failures, 10), maxRest)
		n.failures++
		n.rested = p.now().Add(rest)
	}
	return nil
}

// URLs returns the addresses of all nodes.
func (p *addressPool) URLs() []*url.URL {
	p.mu.Lock()
	defer p.mu.Unlock()
	urls := make([]*url.URL, len(p.nodes))
	for i := range p.nodes {
		urls[i] = p.nodes[i].conn.URL
	}
	return urls
}

// ConcurrentSafe tells the client that the pool needs no lock around it.
func (p *addressPool) ConcurrentSafe() {}

func (p *addressPool) find(c *elastictransport.Connection) *node {
	for i := range p.nodes {
		if p.nodes[i].conn == c {
			return &p.nodes[i]
		}
	}
	return nil
}
