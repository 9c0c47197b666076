package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/elastic"
)

// serverStatus is what is known of the servers behind a destination.
type serverStatus struct {
	Destination string               `json:"destination"`
	Product     string               `json:"product,omitempty"` // "" until one has said who it is
	Version     string               `json:"version,omitempty"`
	Cluster     string               `json:"cluster,omitempty"`
	Nodes       []elastic.NodeStatus `json:"nodes"`
}

// servers asks the sinks what they know. Nobody is asked over the network.
func (a *admin) servers(fl *flush.Status) []serverStatus {
	list := []serverStatus{}
	for _, s := range fl.Streams {
		sink, ok := a.sinks[s.Name].(*elastic.Sink)
		if !ok || slices.ContainsFunc(list, func(x serverStatus) bool { return x.Destination == s.Destination }) {
			continue
		}
		info, _ := sink.Info()
		list = append(list, serverStatus{Destination: s.Destination, Product: info.Product, Version: info.Version, Cluster: info.Cluster, Nodes: sink.Nodes()})
	}
	return list
}

// ServerText says who a destination is, and which of its nodes do not answer; "" when there is nothing to say.
func (st *statusReport) ServerText(destination string) string {
	at := slices.IndexFunc(st.Servers, func(s serverStatus) bool { return s.Destination == destination })
	if at < 0 {
		return ""
	}
	s := st.Servers[at]
	var words []string
	if s.Product != "" {
		words = append(words, s.Product+" "+s.Version)
	}
	for _, n := range s.Nodes {
		if n.Failing && len(s.Nodes) > 1 {
			words = append(words, fmt.Sprintf("node %s fails since %s: %s", n.Host, n.Since.Format(time.RFC3339), n.Error))
		}
	}
	return strings.Join(words, "; ")
}

// streamNotes adds what an operator should know of a stream's delivery, besides what holds it up.
func streamNotes(s *flush.StreamStatus, add func(command, format string, args ...any)) {
	if s.Held > 0 {
		add("", "stream %s: %s of %s wait apart from the others, because what they go to does not take them", s.Name, counted(s.Held, "document", "documents"), humanBytes(s.HeldBytes))
	}
	if c := s.Conflicts; c != nil {
		add("", "stream %s: %s found that the id which the client gave was there already, the last one at %s (event %s, id %s in %s): an event that was sent twice, or two events with one id, of which the second is not stored",
			s.Name, counted(int(c.Count), "document", "documents"), c.At.Format(time.RFC3339), c.Key, c.ID, c.Index)
	}
}

// stateText says in a few words how a stream's delivery is.
func stateText(s *flush.StreamStatus) string {
	if s == nil {
		return "-"
	}
	words := []string{string(s.State)}
	if s.Alone {
		words = append(words, "reads alone")
	}
	if s.HoldsLog {
		words = append(words, "holds the log")
	}
	return strings.Join(words, ", ")
}

// destinationState says in one line how a destination is.
func destinationState(d *flush.DestinationStatus, now time.Time) string {
	text := fmt.Sprintf("%s is %s", d.Name, d.State)
	if d.State == flush.StateOK {
		return fmt.Sprintf("%s, %d of at most %s under way", text, d.InFlight, counted(d.Limit, "request", "requests"))
	}
	return fmt.Sprintf("%s for %s (since %s): %s", text, humanDuration(max(0, now.Sub(d.Since)).Truncate(time.Second)), d.Since.Format(time.RFC3339), d.Why)
}
