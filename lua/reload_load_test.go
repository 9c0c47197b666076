package lua

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weirlog/weir/flush"
)

// stamping writes its number into every event: before anything is done, in a function that others call, after a coroutine,
// into the state, and in what it emits. Any mixture of two versions shows as two numbers in one event.
func stamping(n int) string {
	return fmt.Sprintf(`
local number = %d
state = {version = number}
local function stamp() return number end
function other() return number end
function transform(event, meta)
	event.first = number
	event.state = state.version
	event.called = stamp()
	for i = 1, event.work do event.work = i end
	event.global = other()
	event.resumed = coroutine.wrap(function() coroutine.yield(number) end)()
	emit({first = number, state = state.version, called = stamp(), global = other(), resumed = number, last = number, id = event.id})
	event.last = number
	return event
end`, n)
}

// stamped is what stamping writes.
type stamped struct {
	ID                                          int
	First, State, Called, Global, Resumed, Last int
}

func (s *stamped) version() (int, bool) {
	v := s.First
	return v, v != 0 && v == s.State && v == s.Called && v == s.Global && v == s.Resumed && v == s.Last
}

// TestReload_UnderFullLoad exchanges two versions again and again while every goroutine transforms all it can. Each event comes
// out once, whole, of one version in all of its documents; and the counts by version are exact.
func TestReload_UnderFullLoad(t *testing.T) {
	const callers, reloads = 4, 60
	tr, path := open(t, stamping(1), Options{Logger: quietLogger(), RollbackErrorRate: 0.05, ShadowEvents: 20, Recent: recentOf(repeated(20, func(i int) string {
		return fmt.Sprintf(`{"id":%d,"work":10}`, i)
	})...)})
	versions := map[string]int{tr.Version(): 1, versionOf([]byte(stamping(2))): 2}
	var stop atomic.Bool
	var wg sync.WaitGroup
	counts := make([]map[string]uint64, callers)
	for c := range callers {
		counts[c] = map[string]uint64{}
		wg.Go(func() {
			for id := c; !stop.Load(); id += callers {
				docs, err := tr.Transform(context.Background(), record(fmt.Sprintf(`{"id":%d,"work":%d}`, id, id%50)))
				if err != nil {
					t.Errorf("event %d: %v", id, err)
					return
				}
				if err := oneVersion(docs, id, versions); err != nil {
					t.Errorf("event %d: %v", id, err)
					return
				}
				counts[c][docs[0].Script]++
			}
		})
	}
	for n := range reloads {
		r := mustReload(t, tr, path, stamping(2-n%2))
		if r.Version != tr.Version() || r.Shadow.Events != 20 || r.Shadow.Changed != 20 {
			t.Errorf("reload %d: %+v", n, r)
		}
	}
	stop.Store(true)
	wg.Wait()
	wantCounts(t, tr, counts...)
	if v := tr.Status().(Status).Versions; len(v) != 2 || v[0].Events == 0 || v[1].Events == 0 {
		t.Errorf("counted %+v, want events of both versions", v)
	}
}

// oneVersion checks the documents of one event.
func oneVersion(docs []flush.Document, id int, versions map[string]int) error {
	if len(docs) != 2 {
		return fmt.Errorf("%d documents", len(docs))
	}
	for _, d := range docs {
		var s stamped
		if err := json.Unmarshal(d.Source, &s); err != nil {
			return err
		}
		if v, whole := s.version(); !whole || s.ID != id || v != versions[d.Script] || d.Script != docs[0].Script {
			return fmt.Errorf("%s says it is of version %s (%d)", d.Source, d.Script, versions[d.Script])
		}
	}
	return nil
}
