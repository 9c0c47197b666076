//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// descriptorLimit bounds the open files of a service to which manyClients connect.
const (
	descriptorLimit = 128
	manyClients     = 500
	manyOperators   = 150
)

// descriptors has clients and operators hold more connections than the service may have open files. What the log,
// delivery and the dead letters have to open they still can.
func (tt *torture) descriptors(t *testing.T, round int) {
	w := newWorldIn(t, filepath.Join(t.TempDir(), "data"), rand.New(rand.NewPCG(tt.seed+uint64(round), 100)))
	// A shell's limits hold before the program begins, which looks at them.
	w.launcher = []string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$@"`, descriptorLimit), "sh"}
	tt.judgeFull(w, w.crowded(), "round %d, %d descriptors for %d clients and %d operators", round, descriptorLimit, manyClients, manyOperators)
}

// crowded is a life with idle connections everywhere.
func (w *world) crowded() error {
	if err := w.start(); err != nil {
		return err
	}
	if !w.post(w.rng, 3, 100) { // the client's connection is there before the crowd
		return errors.New("it takes no events")
	}
	for address, n := range map[string]int{w.proc.ingest: manyClients, w.proc.admin: manyOperators} {
		leave, err := crowd(address, n)
		if err != nil {
			return err
		}
		defer leave()
	}
	if err := w.await503(); err != nil {
		return err
	}
	release := w.hold()
	defer release()
	for i := range 40 { // several segments
		if r := w.send(w.rng, 10, 6000); r.err != nil || r.status != http.StatusAccepted {
			return fmt.Errorf("body %d on a connection that was accepted: %+v", i, r)
		}
	}
	release()
	if err := w.drained(); err != nil {
		return err
	}
	if err := w.lookAtLetters(); err != nil {
		return err
	}
	if err := await(func() bool {
		segments, err := filepath.Glob(filepath.Join(w.dataDir, "wal", "*"))
		return err == nil && len(segments) <= 4
	}, "settled segments are not reclaimed"); err != nil {
		return err
	}
	if s := w.proc.logged(); strings.Contains(s, "too many open files") {
		return errors.New("it ran out of descriptors")
	}
	return w.stopped()
}

// crowd opens connections that say nothing.
func crowd(url string, n int) (leave func(), err error) {
	var conns []net.Conn
	leave = func() {
		for _, c := range conns {
			c.Close() //nolint:errcheck // it only took a place
		}
	}
	for range n {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			leave()
			return nil, err
		}
		conns = append(conns, c)
	}
	return leave, nil
}

// await503 waits until the crowd is inside: one more client is told at once that there are too many.
func (w *world) await503() error {
	return await(func() bool {
		c, err := net.DialTimeout("tcp", strings.TrimPrefix(w.proc.ingest, "http://"), time.Second)
		if err != nil {
			return false
		}
		defer c.Close()
		if c.SetReadDeadline(time.Now().Add(100*time.Millisecond)) != nil {
			return false
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return false // it was let in, or waits to be
		}
		defer res.Body.Close()
		var refusal struct{ Error struct{ Code string } }
		return json.NewDecoder(res.Body).Decode(&refusal) == nil && refusal.Error.Code == "too_many_connections" &&
			res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != ""
	}, "one client too many is not told so")
}

// lookAtLetters reads the letters as an operator does.
func (w *world) lookAtLetters() error {
	_, stderr, code := command(w.T, w.dataDir, nil, w.environ, "dlq", "export", "--with-envelope")
	if code != exitDone {
		return fmt.Errorf("dlq export ended with %d: %s", code, stderr)
	}
	return nil
}
