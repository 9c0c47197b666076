package checkpoint

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"github.com/weirlog/weir/wal"
)

// Constants that are on disk.
const (
	stateVersion  = 2
	stateMinBytes = 2 + 8 + 4 + 4
	maxStreams    = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Position is how far a stream is settled: every record of Epoch up to Offset.
type Position struct {
	Epoch  wal.Epoch
	Offset wal.Offset
}

// state is the one value that this package stores. Integers are big-endian.
//
//	 0         2                 10        14
//	+---------+-----------------+---------+---------------------------------------+---------+
//	| version | epoch of the log| streams | per stream: length 1, name, epoch 8,  | CRC-32C |
//	| 2 bytes | 8 (0: unknown)  | 4       | offset 8; ordered by name; durable 8  | 4       |
//	+---------+-----------------+---------+---------------------------------------+---------+
//
// Version 1 has no durable offset.
//
// The checksum covers all bytes before it. Version and checksum keep their places in every later version, so that a newer
// file can be told from a damaged one.
type state struct {
	epoch   wal.Epoch
	streams map[string]Position
	durable wal.Offset // up to which the log was durable when this was written; 0: unknown
}

func (s state) clone() state {
	return state{epoch: s.epoch, streams: maps.Clone(s.streams), durable: s.durable}
}

// encode returns the bytes of the state. Names are at most wal.MaxStreamBytes long; the caller checked.
func (s state) encode() []byte {
	b := make([]byte, 0, stateMinBytes+len(s.streams)*48)
	b = binary.BigEndian.AppendUint16(b, stateVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(s.epoch))
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.streams)))
	for _, name := range slices.Sorted(maps.Keys(s.streams)) {
		p := s.streams[name]
		b = append(b, byte(len(name)))
		b = append(b, name...)
		b = binary.BigEndian.AppendUint64(b, uint64(p.Epoch))
		b = binary.BigEndian.AppendUint64(b, uint64(p.Offset))
	}
	b = binary.BigEndian.AppendUint64(b, uint64(s.durable))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeState is the inverse of encode. It returns errState for anything that encode cannot have made, and
// wal.ErrNewerFormat for an intact value of a later version.
func decodeState(b []byte) (state, error) {
	if len(b) < stateMinBytes {
		return state{}, fmt.Errorf("%w: %d bytes", errState, len(b))
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return state{}, fmt.Errorf("%w: checksum", errState)
	}
	version := binary.BigEndian.Uint16(body)
	if version > stateVersion {
		return state{}, fmt.Errorf("format version %d, this is %d: %w", version, stateVersion, wal.ErrNewerFormat)
	} else if version == 0 {
		return state{}, fmt.Errorf("%w: version 0", errState)
	}
	s := state{epoch: wal.Epoch(binary.BigEndian.Uint64(body[2:])), streams: map[string]Position{}}
	count := binary.BigEndian.Uint32(body[10:])
	rest := body[14:]
	for range count {
		if len(rest) < 1 || len(rest) < 1+int(rest[0])+16 {
			return state{}, fmt.Errorf("%w: short", errState)
		}
		n := int(rest[0])
		name := string(rest[1 : 1+n])
		s.streams[name] = Position{
			Epoch:  wal.Epoch(binary.BigEndian.Uint64(rest[1+n:])),
			Offset: wal.Offset(binary.BigEndian.Uint64(rest[9+n:])),
		}
		rest = rest[17+n:]
	}
	if version >= 2 {
		if len(rest) < 8 {
			return state{}, fmt.Errorf("%w: short", errState)
		}
		s.durable, rest = wal.Offset(binary.BigEndian.Uint64(rest)), rest[8:]
	}
	if len(rest) != 0 || len(s.streams) != int(count) {
		return state{}, fmt.Errorf("%w: %d streams announced", errState, count)
	}
	return s, nil
}
