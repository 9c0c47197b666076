package flush

import (
	"fmt"
	"maps"
	"time"

	"github.com/weirlog/weir/wal"
)

// keepCheckpoint writes the watermarks whenever one has moved, until stop is closed, and then once more.
func (f *Flusher) keepCheckpoint(stop <-chan struct{}) error {
	ticker := time.NewTicker(f.opts.CheckpointEvery)
	defer ticker.Stop()
	stored := make(map[string]wal.Offset, len(f.lanes))
	for _, l := range f.lanes {
		stored[l.name] = l.stream.Settled
	}
	f.unfollowed = f.opts.Settle != nil // whatever the process before this one still had time for
	for {
		select {
		case <-ticker.C:
			if err := f.writeCheckpoint(stored); err != nil {
				f.health.failing("writing the checkpoint", err)
			} else {
				f.health.ok("writing the checkpoint")
			}
		case <-stop:
			return f.writeCheckpoint(stored)
		}
	}
}

// writeCheckpoint stores the watermarks where one has moved, and calls what follows a checkpoint.
func (f *Flusher) writeCheckpoint(stored map[string]wal.Offset) error {
	now := f.watermarks()
	if maps.Equal(now, stored) {
		return f.follow(least(stored))
	}
	if err := f.opts.Checkpoint.Advance(f.opts.Epoch, now); err != nil {
		return fmt.Errorf("advance checkpoint: %w", err)
	}
	maps.Copy(stored, now)
	f.opts.Metrics.checkpoint(now)
	f.unfollowed = f.opts.Settle != nil
	return f.follow(least(stored))
}

// watermarks returns up to where each stream is settled.
func (f *Flusher) watermarks() map[string]wal.Offset {
	offsets := make(map[string]wal.Offset, len(f.lanes))
	for _, l := range f.lanes {
		offsets[l.name] = l.watermark()
	}
	return offsets
}

func least(offsets map[string]wal.Offset) wal.Offset {
	first := true
	var lowest wal.Offset
	for _, o := range offsets {
		if first || o < lowest {
			lowest, first = o, false
		}
	}
	return lowest
}

// follow calls Settle for a checkpoint that is stored. When it fails, it is tried again with the next tick.
func (f *Flusher) follow(upTo wal.Offset) error {
	if !f.unfollowed {
		return nil
	}
	if err := f.opts.Settle(upTo); err != nil {
		return err
	}
	f.unfollowed = false
	return nil
}
