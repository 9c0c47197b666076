package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// boundServer serves within a bound; a request for /wait is answered once release is closed.
func boundServer(t *testing.T, most int) (url string, waiting, release chan struct{}) {
	waiting, release = make(chan struct{}, most), make(chan struct{})
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			waiting <- struct{}{}
			<-release
		}
	}))
	// The test's server follows its connections as well, and calls what was there before.
	s.Config.ConnState = (&connectionBound{most: most}).follow
	s.Start()
	t.Cleanup(s.Close)
	return s.URL, waiting, release
}

func dialAll(t *testing.T, url string, n int) []net.Conn {
	conns := make([]net.Conn, n)
	for i := range conns {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() }) //nolint:errcheck // the server may have closed it
		conns[i] = c
	}
	return conns
}

func TestConnectionBound_ClosesTheOldestThatWaits(t *testing.T) {
	url, _, _ := boundServer(t, 3)
	conns := dialAll(t, url, 10)
	for i, c := range conns[:7] {
		if _, err := c.Read(make([]byte, 1)); err != io.EOF && !strings.Contains(err.Error(), "reset") {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	res, err := http.Get(url)
	if err != nil {
		t.Fatalf("an operator behind the crowd: %v", err)
	}
	res.Body.Close()
}

func TestConnectionBound_RequestsInHandStay(t *testing.T) {
	url, waiting, release := boundServer(t, 2)
	answers := make(chan error, 2)
	for range 2 {
		go func() {
			res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(url + "/wait")
			if err == nil {
				res.Body.Close()
			}
			answers <- err
		}()
		<-waiting
	}
	for _, c := range dialAll(t, url, 3) {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("one too many was let in")
		}
	}
	close(release)
	for range 2 {
		if err := <-answers; err != nil {
			t.Errorf("a request in hand: %v", err)
		}
	}
}
