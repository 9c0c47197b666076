package elastic

import (
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
)

func TestNodes(t *testing.T) {
	clock := time.Unix(1000, 0)
	p := &nodes{now: func() time.Time { return clock }}
	for _, host := range []string{"a", "b", "c"} {
		p.all = append(p.all, &node{url: &url.URL{Host: host}})
	}
	a, b, c := p.all[0], p.all[1], p.all[2]
	gone := &flush.RequestError{Err: errors.New("gone")}
	next := func(n int) string {
		hosts := ""
		for range n {
			n, suspect := p.next()
			hosts += n.url.Host
			if suspect {
				hosts += "?"
			}
		}
		return hosts
	}
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: chose %s, want %s", what, got, want)
		}
	}
	check("all well", next(6), "abcabc")
	p.failed(b, gone)
	check("b rests", next(4), "acac")
	clock = clock.Add(firstRest)
	check("b has rested and is tried by one request, not by all", next(5), "ab?cac")
	p.failed(b, gone)
	clock = clock.Add(firstRest)
	check("b rests twice as long", next(2), "ac")
	if got := p.another(map[*node]bool{a: true}); got != c {
		t.Errorf("another is %+v, want c", got)
	}
	if got := p.another(map[*node]bool{a: true, c: true}); got != nil {
		t.Errorf("another is %+v, want none: b fails", got)
	}
	for range 2 {
		p.failed(a, gone)
		p.failed(c, gone)
	}
	check("all rest: the one whose rest ends first, and nothing to prove", next(1), "b")
	if s := p.status(); !s[1].Failing || s[1].Error != "gone" || s[1].RestsUntil.Before(clock) || s[1].Since.After(clock) {
		t.Errorf("status of b is %+v", s[1])
	}
	p.succeeded(b)
	check("b is well again", next(2), "bb")
	if s := p.status(); s[1] != (NodeStatus{Host: "b"}) {
		t.Errorf("status of b is %+v", s[1])
	}
	for range 100 {
		p.failed(b, gone)
	}
	clock = clock.Add(maxRest)
	check("no rest is longer than the longest", next(3), "cab")
	if p.hopeless() {
		t.Error("hopeless, though time may help")
	}
	for _, n := range p.all {
		p.failed(n, &flush.RequestError{Err: gone, Verdict: flush.Park})
	}
	if !p.hopeless() {
		t.Error("not hopeless, though every node needs somebody to act")
	}
}
