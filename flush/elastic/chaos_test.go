package elastic_test

import (
	"errors"
	"testing"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/elastic/elastictest"
)

// Whatever the server does, sending again what is not settled ends with every document stored once or
// refused for good, and never with one that was called delivered and is not there.
func TestSink_ChaosEndsWithEverythingOnce(t *testing.T) {
	found := 0 // documents whose first success was lost
	for _, seed := range []uint64{1, 2, 3, 4} {
		server := elastictest.Start(t, elastictest.Options{Chaos: elastictest.Chaos{
			Seed: seed, ItemRejected: 0.1, ItemUnavailable: 0.1, ItemMalformed: 0.05, Busy: 0.1, Unavailable: 0.1,
			CutBefore: 0.1, CutAfter: 0.1, CutAnswer: 0.1, Garbage: 0.1, BrokenJSON: 0.1, ItemMissing: 0.1,
		}})
		sink := newSink(t, server)
		pending := documents(1000)
		total, delivered, duplicates, permanent := len(pending), 0, 0, 0
		for round := 0; len(pending) > 0; round++ {
			if round == 500 {
				t.Fatalf("seed %d: %d documents are left after %d rounds", seed, len(pending), round)
			}
			outcomes, err := sink.Send(t.Context(), pending)
			if err != nil {
				var re *flush.RequestError
				if !errors.As(err, &re) || re.Split() || re.Parked() {
					t.Fatalf("seed %d: %v", seed, err)
				}
				continue
			}
			var again []flush.Document
			for i, o := range outcomes {
				_, stored := server.Doc(pending[i].Index, pending[i].ID)
				switch o.Verdict {
				case flush.Retry:
					again = append(again, pending[i])
				case flush.Delivered:
					delivered++
				case flush.Duplicate:
					duplicates++
				case flush.Permanent:
					permanent++
				}
				if success := o.Verdict == flush.Delivered || o.Verdict == flush.Duplicate; o.Verdict != flush.Retry && success != stored {
					t.Fatalf("seed %d: document %s is %s, stored %v", seed, pending[i].ID, o.Verdict, stored)
				}
			}
			pending = again
		}
		if delivered+duplicates+permanent != total || permanent == 0 {
			t.Errorf("seed %d: %d delivered, %d duplicates, %d permanent of %d", seed, delivered, duplicates, permanent, total)
		}
		docs := server.Docs()
		if len(docs) != delivered+duplicates {
			t.Errorf("seed %d: %d documents are stored, want %d", seed, len(docs), delivered+duplicates)
		}
		for _, d := range docs {
			if d.Created != 1 {
				t.Errorf("seed %d: document %s was created %d times", seed, d.ID, d.Created)
			}
		}
		found += duplicates
	}
	if found == 0 {
		t.Error("no answer was lost; the faults are too few to prove anything")
	}
}
