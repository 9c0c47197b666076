package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/weirlog/weir/flush"
)

// TestReal_SmallServer meets, one after the other, the limits of a server that has little of everything: bytes of a request (413), its write
// queue (429 for items), its memory for indexing (429 for requests).
func TestReal_SmallServer(t *testing.T) {
	const most = 100 << 10 // bytes of a request
	server := startOwnServer(t, "--set", "http.max_content_length=100kb", "--set", "thread_pool.write.size=1", "--set", "thread_pool.write.queue_size=1",
		"--set", "indexing_pressure.memory.limit=256kb")

	t.Run("request too large", func(t *testing.T) {
		index := server.in(t).index("large", "", "")
		events := newRealEvents()
		r := startRealRun(t, server.in(t), "elasticsearch: {index: "+index+"}\nflush: {batch_bytes: 1MiB, max_in_flight: 1}\n", index)
		var sent []realEvent
		var tooLarge realEvent
		for i := range 120 {
			sent = append(sent, events.large(10<<10)) // nine of these fit
			if i == 77 {
				tooLarge = events.large(most)
				sent = append(sent, tooLarge)
			}
		}
		r.post("default", sent)
		_, letters := r.settled("larger than the server takes", func(e realEvent) bool { return e.n == tooLarge.n })
		if letters != 1 || r.letters()[tooLarge.n][0].Status != http.StatusRequestEntityTooLarge {
			t.Errorf("%d letters: %.300v", letters, r.letters()[tooLarge.n])
		}
	})

	for _, tt := range []struct {
		name, config string
		events       int
		cause        string
	}{
		{"queue full", "flush: {batch_events: 50, max_in_flight: 64}\n", 4000, "rejected_execution_exception"},
		{"memory full", "flush: {batch_bytes: 90KiB, max_in_flight: 64}\n", 6000, "rejected_execution_exception"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			index := server.in(t).index("busy", "", "")
			r := startRealRun(t, server.in(t), "elasticsearch: {index: "+index+"}\n"+tt.config, index)
			r.postAll("default", newRealEvents().plain(tt.events))
			documents, _ := r.settled(tt.name, nil)
			if documents != tt.events {
				t.Errorf("%d documents of %d events", documents, tt.events)
			}
			text := r.retries()
			t.Logf("retries: %v", text)
			if !strings.Contains(text, tt.cause) && !strings.Contains(text, "429") {
				t.Errorf("nothing was rejected: %s", text)
			}
		})
	}
}

// in is the server as a subtest sees it.
func (s *ownServer) in(t *testing.T) *realServer {
	inner := *s.realServer
	inner.T, inner.prefix = t, realPrefix()
	return &inner
}

// retries lists what had to be sent again, by cause.
func (r *realRun) retries() string {
	r.Helper()
	var all []string
	for line := range strings.Lines(r.metrics()) {
		if rest, ok := strings.CutPrefix(line, "weir_flush_retries_total"); ok && !strings.HasSuffix(line, " 0\n") {
			all = append(all, strings.TrimSpace(rest))
		}
	}
	return strings.Join(all, ", ")
}

// TestReal_WrongPassword_IsParked: what credentials do not allow waits for credentials that do.
func TestReal_WrongPassword_IsParked(t *testing.T) {
	shared := sharedServer(t)
	if shared.product != "elasticsearch" {
		t.Skip("this server comes without security")
	}
	server := startOwnServer(t, "--password", "secret-for-tests")
	server.password = "secret-for-tests"
	index := server.index("guarded", "", "")
	config := func(password string) string {
		return fmt.Sprintf("elasticsearch: {index: %s, username: elastic, password: %s}\n", index, password)
	}
	events := newRealEvents()
	r := startRealRun(t, server.realServer, config("wrong-one"), index)
	r.postAll("default", events.plain(1000))
	if why := r.parked("default"); !strings.Contains(why, "401") {
		t.Errorf("parked because of %q", why)
	}
	if stored := len(server.numbers(index)); stored != 0 {
		t.Errorf("%d documents are stored", stored)
	}
	r.proc.stop()
	r.write(r.config, config("secret-for-tests"))
	r.start()
	r.settled("right password", nil)

	// A key that may write to one index only, and then to none.
	var key struct{ ID, Encoded string }
	server.decode("POST", "/_security/api_key", fmt.Sprintf(`{"name":"weir","role_descriptors":{"w":{"index":[{"names":[%q],"privileges":["create_doc"]}]}}}`, index), &key)
	r.proc.stop()
	r.write(r.config, fmt.Sprintf("elasticsearch: {index: %s, api_key: %s}\n", index, key.Encoded))
	r.start()
	r.postAll("default", events.plain(500))
	r.settled("api key", nil)
	server.must("DELETE", "/_security/api_key", fmt.Sprintf(`{"ids":[%q]}`, key.ID))
	r.postAll("default", events.plain(500))
	if why := r.parked("default"); !strings.Contains(why, "401") {
		t.Errorf("parked because of %q", why)
	}
	r.proc.stop()
	r.write(r.config, config("secret-for-tests"))
	r.start()
	r.settled("password again", nil)
}

// TestReal_ProductIsLogged: weir knows what it talks to and says so once.
func TestReal_ProductIsLogged(t *testing.T) {
	server := sharedServer(t)
	index := server.index("product", "", "")
	r := startRealRun(t, server, "elasticsearch: {index: "+index+"}\n", index)
	r.post("default", newRealEvents().plain(10))
	r.settled("delivered", nil)
	log := r.proc.logged()
	if n := strings.Count(log, `"`+server.version+`"`); n == 0 || !strings.Contains(strings.ToLower(log), server.product) {
		t.Errorf("the log does not name %s %s:\n%s", server.product, server.version, log)
	}
	for _, s := range r.delivery().Destinations {
		if s.State != flush.StateOK {
			t.Errorf("%s is %s: %s", s.Name, s.State, s.Why)
		}
	}
	out, _, code := command(t, r.dataDir, nil, r.env, "check")
	if code != exitDone || !strings.Contains(out, server.version) {
		t.Errorf("weir check: %d %s", code, out)
	}
}
