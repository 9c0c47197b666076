package elastic

import (
	"net/url"
	"testing"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
)

func TestAddressPool(t *testing.T) {
	clock := time.Unix(1000, 0)
	var conns []*elastictransport.Connection
	for _, host := range []string{"a", "b", "c"} {
		conns = append(conns, &elastictransport.Connection{URL: &url.URL{Host: host}})
	}
	p := newAddressPool(conns, func() time.Time { return clock })
	next := func(n int) string {
		t.Helper()
		hosts := ""
		for range n {
			c, err := p.Next()
			if err != nil {
				t.Fatal(err)
			}
			hosts += c.URL.Host
		}
		return hosts
	}
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: chose %s, want %s", what, got, want)
		}
	}
	report := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check("all well", next(6), "abcabc")
	report(p.OnFailure(conns[1]))
	check("b rests", next(4), "acac")
	clock = clock.Add(firstRest)
	check("b has rested", next(3), "abc")
	report(p.OnFailure(conns[1]))
	clock = clock.Add(firstRest)
	check("b rests twice as long", next(2), "ac")
	for range 2 {
		report(p.OnFailure(conns[0]))
		report(p.OnFailure(conns[2]))
	}
	check("all rest: the one whose rest ends first", next(1), "b")
	report(p.OnSuccess(conns[1]))
	check("b is well again", next(2), "bb")
	for range 100 {
		report(p.OnFailure(conns[1]))
	}
	clock = clock.Add(maxRest)
	check("no rest is longer than the longest", next(3), "cab")
	if n := len(p.URLs()); n != 3 {
		t.Errorf("%d URLs", n)
	}
	if _, err := newAddressPool(nil, time.Now).Next(); err == nil {
		t.Error("an empty pool gave a node")
	}
}
