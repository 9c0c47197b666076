package deadletter

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

var (
	stateKey = []byte("state")
	crcTable = crc64.MakeTable(crc64.ECMA)
)

// index is a transaction on the index of one store. State is a copy, taken over by the store when the transaction succeeds.
type index struct {
	state   indexState
	buckets [tables]*bbolt.Bucket
	root    *bbolt.Bucket
	ownKeys bool // see Options.OwnKeys
}

// openIndex finds the store's buckets in tx. It returns errIndex when there is no whole index.
func openIndex(tx *bbolt.Tx, name []byte) (*index, error) {
	root := tx.Bucket(name)
	if root == nil {
		return nil, fmt.Errorf("%w: missing", errIndex)
	}
	x := &index{root: root}
	for t := range tables {
		b := root.Bucket(tableNames[t])
		if b == nil {
			return nil, fmt.Errorf("%w: no table %s", errIndex, tableNames[t])
		}
		if t == tableLive || t == tablePlaces {
			b.FillPercent = 0.95 // entries come in ascending order
		}
		x.buckets[t] = b
	}
	return x, nil
}

// createIndex replaces whatever stands under the name with an empty index. Damage that has no letter yet stays known.
func createIndex(tx *bbolt.Tx, name []byte, st indexState, damages []pendingDamage) error {
	if tx.Bucket(name) != nil {
		if err := tx.DeleteBucket(name); err != nil {
			return err
		}
	}
	root, err := tx.CreateBucket(name)
	if err != nil {
		return err
	}
	for _, table := range tableNames {
		if _, err := root.CreateBucket(table); err != nil {
			return err
		}
	}
	if err := (&index{root: root}).setDamages(damages); err != nil {
		return err
	}
	return root.Put(stateKey, st.encode())
}

// save stores the state; the last step of a writing transaction.
func (x *index) save() error { return x.root.Put(stateKey, x.state.encode()) }

func checksum(k, v []byte) uint64 {
	return crc64.Update(crc64.Update(0, crcTable, k), crcTable, v)
}

// put sets an entry of a table, keeping its sum.
func (x *index) put(t table, k, v []byte) error {
	x.forget(t, k)
	s := &x.state.sums[t]
	s.count++
	s.hash ^= checksum(k, v)
	return x.buckets[t].Put(k, v)
}

// del removes an entry of a table if it is there.
func (x *index) del(t table, k []byte) error {
	if !x.forget(t, k) {
		return nil
	}
	return x.buckets[t].Delete(k)
}

// forget takes an entry out of its table's sum.
func (x *index) forget(t table, k []byte) bool {
	old := x.buckets[t].Get(k)
	if old == nil {
		return false
	}
	s := &x.state.sums[t]
	s.count--
	s.hash ^= checksum(k, old)
	return true
}

// verify compares every table with its sum.
func (x *index) verify() error {
	for t, b := range x.buckets {
		var got sum
		c := b.Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			got.count++
			got.hash ^= checksum(k, v)
		}
		if got != x.state.sums[t] {
			return fmt.Errorf("%w: table %s has %d entries, should have %d", errIndex, tableNames[t], got.count, x.state.sums[t].count)
		}
	}
	return nil
}

// find returns the live letter of the key.
func (x *index) find(key flush.Key) (Entry, bool, error) {
	var k [keyBytes]byte
	seq := x.buckets[tableKeys].Get(appendKey(k[:0], key))
	if seq == nil {
		return Entry{}, false, nil
	}
	v := x.buckets[tableLive].Get(seq)
	if len(seq) != 8 || v == nil {
		return Entry{}, false, fmt.Errorf("%w: letter %s", errIndex, key)
	}
	e, err := decodeEntry(wal.Offset(binary.BigEndian.Uint64(seq)), v)
	return e, err == nil, err
}

// known reports whether the key is a letter, or was one and is remembered.
func (x *index) known(key flush.Key) bool {
	var b [keyBytes]byte
	k := appendKey(b[:0], key)
	return x.buckets[tableKeys].Get(k) != nil || x.buckets[tableSettled].Get(k) != nil
}

// apply does to the index what the record at place did to the letters. Records must come in the order of the log.
func (x *index) apply(c *change, place wal.Offset) error {
	e, live, err := x.find(c.key)
	if err != nil {
		return err
	}
	switch c.op {
	case opPut:
		if live || x.known(c.key) {
			return nil
		}
		return x.add(newEntry(c, place, place))
	case opCopied, opEdited:
		if live {
			if err := x.remove(&e); err != nil {
				return err
			}
		} else if x.known(c.key) {
			return nil // settled since: it does not come back
		}
		return x.add(newEntry(c, place, c.seq))
	case opAttempted:
		if !live {
			return nil
		}
		if err := x.remove(&e); err != nil {
			return err
		}
		a := &c.attempt
		e.Attempts, e.LastAt, e.Status, e.cause = a.Attempts, a.At, a.Status, place
		e.Type, e.Reason = cut(a.Type, entryStringBytes), cut(a.Reason, entryReasonBytes)
		return x.add(e)
	case opSettled, opDropped:
		if live {
			if err := x.remove(&e); err != nil {
				return err
			}
		}
		if x.ownKeys {
			return nil
		}
		return x.remember(c.key, place, c.bytes)
	}
	return nil // a part belongs to the record before
}

// add makes the entry live.
func (x *index) add(e Entry) error {
	seq := appendOffset(nil, e.Seq)
	if err := x.put(tableLive, seq, e.encode()); err != nil {
		return err
	}
	if err := x.put(tableKeys, appendKey(nil, e.Key), seq); err != nil {
		return err
	}
	x.state.stages[stageNumber(e.Stage)]++
	x.state.bytes += e.bytes
	return x.put(tablePlaces, appendOffset(nil, e.place), seq)
}

// remove takes a live entry out of all tables.
func (x *index) remove(e *Entry) error {
	x.state.stages[stageNumber(e.Stage)]--
	x.state.bytes -= e.bytes
	if err := x.del(tableLive, appendOffset(nil, e.Seq)); err != nil {
		return err
	}
	if err := x.del(tableKeys, appendKey(nil, e.Key)); err != nil {
		return err
	}
	return x.del(tablePlaces, appendOffset(nil, e.place))
}

// remember notes that the key was settled by the record at place, which the log must keep until forgetSettled.
func (x *index) remember(key flush.Key, place wal.Offset, bytes int64) error {
	k := appendKey(nil, key)
	if old := x.buckets[tableSettled].Get(k); len(old) == 16 {
		oldPlace := appendOffset(nil, wal.Offset(binary.BigEndian.Uint64(old)))
		x.state.kept -= int64(binary.BigEndian.Uint64(old[8:]))
		if err := x.del(tablePlaces, oldPlace); err != nil {
			return err
		}
	}
	x.state.kept += bytes
	v := binary.BigEndian.AppendUint64(appendOffset(nil, place), uint64(bytes))
	if err := x.put(tableSettled, k, v); err != nil {
		return err
	}
	return x.put(tablePlaces, appendOffset(nil, place), k)
}

// forgetSettled removes up to limit remembered keys that no redelivery can bring back any more: those of epochs that are not
// among the given ones, and those at or below upTo. It reports whether there may be more.
func (x *index) forgetSettled(epochs []wal.Epoch, upTo wal.Offset, limit int) (more bool, err error) {
	type gone struct{ key, value []byte }
	var all []gone
	c := x.buckets[tableSettled].Cursor()
	for k, v := c.First(); k != nil && len(all) < limit; {
		key := decodeKey(k)
		if key.Offset > upTo && slices.Contains(epochs, key.Epoch) {
			k, v = seekBehind(c, key.Epoch) // the rest of this epoch stays
			continue
		}
		all = append(all, gone{append([]byte(nil), k...), append([]byte(nil), v...)})
		k, v = c.Next()
	}
	for _, g := range all {
		if len(g.value) != 16 {
			return false, fmt.Errorf("%w: settled key", errIndex)
		}
		x.state.kept -= int64(binary.BigEndian.Uint64(g.value[8:]))
		if err := x.del(tableSettled, g.key); err != nil {
			return false, err
		}
		if err := x.del(tablePlaces, g.value[:8]); err != nil {
			return false, err
		}
	}
	return len(all) == limit, nil
}

// seekBehind moves a cursor over keys to the first one of a later epoch.
func seekBehind(c *bbolt.Cursor, epoch wal.Epoch) (k, v []byte) {
	if epoch == ^wal.Epoch(0) {
		return nil, nil
	}
	return c.Seek(appendKey(nil, flush.Key{Epoch: epoch + 1}))
}

// oldestNeeded returns the place of the oldest record that must not be reclaimed; one past applied when there is none.
func (x *index) oldestNeeded() wal.Offset {
	k, _ := x.buckets[tablePlaces].Cursor().First()
	if len(k) != 8 {
		return x.state.applied + 1
	}
	return wal.Offset(binary.BigEndian.Uint64(k))
}

// highestKnown returns, for every epoch, the highest offset of any known key.
func (x *index) highestKnown() map[wal.Epoch]wal.Offset {
	highest := map[wal.Epoch]wal.Offset{}
	for _, t := range []table{tableKeys, tableSettled} {
		c := x.buckets[t].Cursor()
		for k, _ := c.First(); len(k) == keyBytes; {
			epoch := decodeKey(k).Epoch
			end := appendKey(nil, flush.Key{Epoch: epoch, Offset: ^wal.Offset(0), Ordinal: ^uint32(0)})
			next, _ := c.Seek(end)
			var last []byte
			if next == nil {
				last, _ = c.Last()
			} else {
				last, _ = c.Prev()
			}
			if len(last) == keyBytes {
				highest[epoch] = max(highest[epoch], decodeKey(last).Offset)
			}
			k, _ = seekBehind(c, epoch)
		}
	}
	return highest
}

// ordinals returns the known ordinals of a record.
func (x *index) ordinals(epoch wal.Epoch, offset wal.Offset) []uint32 {
	var found []uint32
	prefix := appendKey(nil, flush.Key{Epoch: epoch, Offset: offset})[:16]
	for _, t := range []table{tableKeys, tableSettled} {
		c := x.buckets[t].Cursor()
		for k, _ := c.Seek(prefix); len(k) == keyBytes && string(k[:16]) == string(prefix); k, _ = c.Next() {
			found = append(found, decodeKey(k).Ordinal)
		}
	}
	slices.Sort(found)
	return found
}

// first returns the oldest live letter.
func (x *index) first() (Entry, bool, error) {
	k, v := x.buckets[tableLive].Cursor().First()
	if len(k) != 8 {
		return Entry{}, false, nil
	}
	e, err := decodeEntry(wal.Offset(binary.BigEndian.Uint64(k)), v)
	return e, err == nil, err
}

// forgettable reports whether forgetSettled would remove anything. It looks at the first key of each epoch only.
func (x *index) forgettable(epochs []wal.Epoch, upTo wal.Offset) bool {
	c := x.buckets[tableSettled].Cursor()
	for k, _ := c.First(); len(k) == keyBytes; {
		key := decodeKey(k)
		if key.Offset <= upTo || !slices.Contains(epochs, key.Epoch) {
			return true
		}
		k, _ = seekBehind(c, key.Epoch)
	}
	return false
}
