package local

import (
	"context"
	"sync"
)

// claims keeps calls that store the same identity at the same time apart: one stores, the others wait
// for what became of it. Without that, the second would find in memory what is not on disk yet.
type claims struct {
	mu   sync.Mutex
	byID map[string]chan struct{} // closed when the call that holds the id has ended
}

// take waits until none of the ids is held by another call, then holds all of them. It holds nothing
// while it waits, so that calls cannot block one another.
func (c *claims) take(ctx context.Context, ids []string) (release func(), err error) {
	done := make(chan struct{})
	for {
		busy := c.tryTake(ids, done)
		if busy == nil {
			return func() { c.release(ids, done) }, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tryTake holds all ids, or none and returns what to wait for.
func (c *claims) tryTake(ids []string, done chan struct{}) (busy <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if other, ok := c.byID[id]; ok {
			return other
		}
	}
	if c.byID == nil {
		c.byID = make(map[string]chan struct{})
	}
	for _, id := range ids {
		c.byID[id] = done
	}
	return nil
}

func (c *claims) release(ids []string, done chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		delete(c.byID, id)
	}
	close(done)
}
