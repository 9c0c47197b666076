package deadletter

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc64"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// damageKey holds, in the bucket of the index, the damage in the log that the index has passed and that has no letter yet:
// CRC-64/ECMA of what follows, 8 bytes, then a list in JSON. It is stored with the offset that passes the damage, so that a
// start that ends before the writer runs, or a store that is full until the next stop, forgets none.
var damageKey = []byte("damages")

// pendingDamage is damage in the log that no letter stands for yet.
type pendingDamage struct {
	Epoch  wal.Epoch  `json:"epoch"`
	Offset wal.Offset `json:"offset"`
	Count  uint64     `json:"count"`
	Reason string     `json:"reason"`
	Kept   string     `json:"kept,omitempty"`
	// Event is the bytes of a record that is whole and none of ours.
	Event []byte `json:"event,omitempty"`
}

// newPendingDamage takes what it needs of a record whose payload belongs to its reader.
func newPendingDamage(rec *wal.Record) pendingDamage {
	d := pendingDamage{Epoch: rec.Epoch, Offset: rec.Offset, Count: rec.Count, Reason: rec.Reason}
	if rec.Damage != nil {
		d.Kept = rec.Damage.Kept
	} else {
		d.Event = bytes.Clone(rec.Payload)
	}
	return d
}

// damages returns what setDamages stored.
func (x *index) damages() ([]pendingDamage, error) {
	b := x.root.Get(damageKey)
	if b == nil {
		return nil, nil
	}
	var list []pendingDamage
	if len(b) < 8 || binary.BigEndian.Uint64(b) != crc64.Checksum(b[8:], crcTable) || json.Unmarshal(b[8:], &list) != nil {
		return nil, fmt.Errorf("%w: list of damages", errIndex)
	}
	return list, nil
}

// setDamages replaces the list.
func (x *index) setDamages(list []pendingDamage) error {
	if len(list) == 0 {
		return x.root.Delete(damageKey)
	}
	b, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("encode damages: %w", err)
	}
	return x.root.Put(damageKey, append(binary.BigEndian.AppendUint64(nil, crc64.Checksum(b, crcTable)), b...))
}

// putDamages makes a letter of stage log for damage in the dead-letter log itself: it stands for records of that log, which
// may have been letters, or the end of letters that now live again. Its key is their place, so that it is put once.
func (s *Store) putDamages() {
	if len(s.damages) == 0 {
		return
	}
	now := s.opts.now()
	letters := make([]flush.Letter, len(s.damages))
	records := uint64(0)
	for i, d := range s.damages {
		records += d.Count
		letters[i] = flush.Letter{
			Key: flush.Key{Epoch: d.Epoch, Offset: d.Offset}, Records: d.Count, Stage: flush.StageLog,
			Type: "dead_letter_log_damaged", Reason: d.Reason, Attempts: 1, FirstAt: now, LastAt: now, ReceivedAt: now,
			Event: d.Event, Kept: d.Kept,
		}
	}
	r := &request{letters: letters, done: make(chan error, 1)}
	s.putGroup([]*request{r})
	err := <-r.done
	if err == nil {
		err = s.update(func(x *index) error { return x.setDamages(nil) })
	}
	if err != nil {
		s.opts.Logger.Error("damage in the dead-letter log could not be made a letter yet", "store", s.opts.Name, "error", err)
		return
	}
	s.opts.Metrics.addDamaged(s.opts.Name, records)
	s.damages = nil
}
