package local

import (
	"context"
	"fmt"
	"slices"

	"github.com/blevesearch/bleve/v2/index/scorch"
	index "github.com/blevesearch/bleve_index_api"
)

// existing returns those of the identities that the store holds. It does not wait for parts whose filter
// rules all of them out.
func (s *Store) existing(ctx context.Context, ids []string) (map[string]struct{}, error) {
	found := make(map[string]struct{})
	for _, p := range slices.Backward(s.snapshot()) {
		asked := ids
		p.mu.RLock()
		if p.filter != nil {
			asked = p.filter.candidates(ids)
		}
		p.mu.RUnlock()
		if len(asked) == 0 {
			continue
		}
		err := s.use(ctx, p, func(idx index.Index) error { return lookup(idx, asked, found) })
		if err != nil {
			return nil, fmt.Errorf("look up ids in part %d: %w", p.number, err)
		}
	}
	return found, nil
}

// excludes reports whether the part is known not to hold the identity.
func (p *part) excludes(id string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.filter != nil && !p.filter.mayHold(id)
}

// candidates returns those of the ids that the filter cannot rule out.
func (f *idFilter) candidates(ids []string) []string {
	var out []string
	for _, id := range ids {
		if f.mayHold(id) {
			out = append(out, id)
		}
	}
	return out
}

func lookup(idx index.Index, ids []string, found map[string]struct{}) error {
	r, err := idx.Reader()
	if err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	defer r.Close()
	for _, seg := range r.(*scorch.IndexSnapshot).Segments() {
		numbers, err := seg.DocNumbers(ids)
		if err != nil {
			return fmt.Errorf("look up ids: %w", err)
		}
		for it := numbers.Iterator(); it.HasNext(); {
			id, err := seg.DocID(uint64(it.Next()))
			if err != nil {
				return fmt.Errorf("read id: %w", err)
			}
			found[string(id)] = struct{}{}
		}
	}
	return nil
}
