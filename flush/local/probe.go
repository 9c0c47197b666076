package local

import (
	"context"

	"github.com/weirlog/weir/flush"
)

// Probe says what the store would make of documents, and stores nothing. It is a deadletter.Probe.
type Probe struct{}

// NewProbe returns a probe of the store.
func (s *Store) NewProbe() Probe { return Probe{} }

// Try judges each document as Send would. There is no mapping that could refuse one, so that what is left is its shape, its id and
// its index. It does not look whether a document is there already: that is success too.
func (Probe) Try(_ context.Context, docs []flush.Document) ([]flush.Outcome, error) {
	outcomes := make([]flush.Outcome, len(docs))
	for i := range docs {
		refusal, ok := refuse(&docs[i])
		if !ok {
			refusal = flush.Outcome{Verdict: flush.Delivered, Status: 201}
		}
		outcomes[i] = refusal
	}
	return outcomes, nil
}

// Close says what was not looked at: nothing.
func (Probe) Close() []string { return nil }
