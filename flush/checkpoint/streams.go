package checkpoint

import (
	"fmt"
	"maps"

	"github.com/weirlog/weir/wal"
)

// Load implements flush.Checkpoint. It answers for the epoch that Identity names; a checkpoint of another epoch says nothing
// about this log, and counts as 0.
func (db *DB) Load(stream string) (wal.Offset, error) {
	p, ok := db.Position(stream)
	if !ok || p.Epoch != db.Identity() {
		return 0, nil
	}
	return p.Offset, nil
}

// Position returns what is stored for the stream, of whatever epoch, and whether anything is.
func (db *DB) Position(stream string) (Position, bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	p, ok := db.state.streams[stream]
	return p, ok
}

// Streams returns a copy of all that is stored. A stream that left the configuration is in it until Forget.
func (db *DB) Streams() map[string]Position {
	db.mu.Lock()
	defer db.mu.Unlock()
	return maps.Clone(db.state.streams)
}

// Highest returns the greatest offset stored for the epoch that Identity names: the log may not give out this offset again.
// When it is above the log's last durable offset, the log lost its end and must begin a new epoch behind Highest.
func (db *DB) Highest() wal.Offset {
	db.mu.Lock()
	defer db.mu.Unlock()
	var highest wal.Offset
	for _, p := range db.state.streams {
		if p.Epoch == db.state.epoch {
			highest = max(highest, p.Offset)
		}
	}
	return highest
}

// Advance implements flush.Checkpoint. A stream that stands higher in this epoch already stays there; a call that moves
// nothing writes nothing. The first Advance of a file without identity gives it one; later ones do not change it, so that
// a mistaken epoch cannot make Load answer for another log.
func (db *DB) Advance(epoch wal.Epoch, offsets map[string]wal.Offset) error {
	return db.move(epoch, offsets, false)
}

// Reset stores the watermarks given even where a stream moves backwards: its records from there on are delivered again.
func (db *DB) Reset(epoch wal.Epoch, offsets map[string]wal.Offset) error {
	return db.move(epoch, offsets, true)
}

func (db *DB) move(epoch wal.Epoch, offsets map[string]wal.Offset, backwards bool) error {
	if epoch == 0 {
		return fmt.Errorf("advance checkpoint: epoch is 0")
	}
	for name := range offsets {
		if len(name) > wal.MaxStreamBytes {
			return fmt.Errorf("advance checkpoint: stream name of %d bytes, at most %d", len(name), wal.MaxStreamBytes)
		}
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.state.epoch != 0 && db.state.epoch != epoch {
		return fmt.Errorf("advance checkpoint: epoch %s, the log is %s", epoch, db.state.epoch)
	}
	next, moved := db.state.clone(), db.state.epoch != epoch
	next.epoch = epoch
	for name, offset := range offsets {
		p, ok := next.streams[name]
		if ok && p.Epoch == epoch && (p.Offset == offset || p.Offset > offset && !backwards) {
			continue
		}
		next.streams[name] = Position{Epoch: epoch, Offset: offset}
		moved = true
	}
	if !moved {
		return nil
	}
	return db.storeLocked(next)
}

// Forget removes a stream. The caller has made sure that nothing of it is unsettled.
func (db *DB) Forget(stream string) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if _, ok := db.state.streams[stream]; !ok {
		return nil
	}
	next := db.state.clone()
	delete(next.streams, stream)
	return db.storeLocked(next)
}
