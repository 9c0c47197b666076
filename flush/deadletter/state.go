package deadletter

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// table numbers the buckets of an index.
type table int

const (
	tableLive    table = iota // seq -> entry: the live letters in the order in which they were put
	tableKeys                 // key -> seq: the same letters by key
	tableSettled              // key -> place: keys settled or dropped, until the checkpoint has passed them
	tablePlaces               // place -> seq, or key of tableSettled: which records of the log are still needed
	tables
)

var tableNames = [tables][]byte{[]byte("live"), []byte("keys"), []byte("settled"), []byte("places")}

// sum is a count and a checksum of what a table holds, whatever the order in which it came there: a lost or changed
// entry is noticed when the index is opened.
type sum struct {
	count uint64
	hash  uint64 // exclusive or of the entries' checksums
}

// indexState is the index about itself. It is stored with every transaction of the index.
type indexState struct {
	epoch   wal.Epoch  // of the dead-letter log
	applied wal.Offset // all records up to here are in the index
	sums    [tables]sum
	stages  [5]uint64 // live letters by stage number
	bytes   int64     // payload bytes of the live letters' newest full copies
	kept    int64     // payload bytes, at the least, of the records of tableSettled
}

const (
	stateVersion = 1
	stateBytes   = 1 + 8 + 8 + int(tables)*16 + 5*8 + 8 + 8 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// records returns the live letters by stage.
func (s *indexState) records() map[flush.Stage]uint64 {
	m := make(map[flush.Stage]uint64, 4)
	for i, name := range stageNumbers[1:] {
		m[name] = s.stages[i+1]
	}
	return m
}

// encode returns the value stored under "state": version, the fields in their order, CRC-32C.
func (s *indexState) encode() []byte {
	b := make([]byte, 0, stateBytes)
	b = append(b, stateVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(s.epoch))
	b = binary.BigEndian.AppendUint64(b, uint64(s.applied))
	for _, t := range s.sums {
		b = binary.BigEndian.AppendUint64(b, t.count)
		b = binary.BigEndian.AppendUint64(b, t.hash)
	}
	for _, n := range s.stages {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(s.bytes))
	b = binary.BigEndian.AppendUint64(b, uint64(s.kept))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeIndexState(b []byte) (indexState, error) {
	if len(b) != stateBytes || b[0] != stateVersion ||
		crc32.Checksum(b[:stateBytes-4], castagnoli) != binary.BigEndian.Uint32(b[stateBytes-4:]) {
		return indexState{}, fmt.Errorf("%w: state", errIndex)
	}
	b = b[1:]
	next := func() uint64 {
		v := binary.BigEndian.Uint64(b)
		b = b[8:]
		return v
	}
	s := indexState{epoch: wal.Epoch(next()), applied: wal.Offset(next())}
	for i := range s.sums {
		s.sums[i] = sum{count: next(), hash: next()}
	}
	for i := range s.stages {
		s.stages[i] = next()
	}
	s.bytes, s.kept = int64(next()), int64(next())
	return s, nil
}
