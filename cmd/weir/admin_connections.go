package main

import (
	"net"
	"net/http"
	"slices"
	"sync"
)

// maxAdminConnections bounds the connections of operators, so that they cannot take the descriptors that the log needs.
// ingest leaves at least twice as many to the rest of the process, see ingest.Options.MaxConnections.
const maxAdminConnections = 24

// connectionBound keeps the connections of a server within a number. One too many takes the place of the one that has
// waited longest without a request in hand, so that whoever only holds connections open does not keep operators out.
type connectionBound struct {
	most int

	mu   sync.Mutex
	open []boundConnection // oldest first; guarded by mu
}

type boundConnection struct {
	net.Conn
	busy bool // a request is in hand
}

// follow is the server's ConnState.
func (b *connectionBound) follow(c net.Conn, state http.ConnState) {
	if excess := b.note(c, state); excess != nil {
		excess.Close() //nolint:errcheck // nobody waits for it
	}
}

// note keeps the list and returns the connection that has to go, if one has.
func (b *connectionBound) note(c net.Conn, state http.ConnState) net.Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = slices.DeleteFunc(b.open, func(o boundConnection) bool { return o.Conn == c })
	if state == http.StateClosed || state == http.StateHijacked {
		return nil
	}
	b.open = append(b.open, boundConnection{c, state == http.StateActive}) // its turn begins anew
	if state != http.StateNew || len(b.open) <= b.most {
		return nil
	}
	i := slices.IndexFunc(b.open, func(o boundConnection) bool { return !o.busy }) // at last the new one itself
	excess := b.open[i].Conn
	b.open = slices.Delete(b.open, i, i+1) // the server hears of its end only later
	return excess
}
