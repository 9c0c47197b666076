package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"time"
)

// What reached a disk once is read for ever: constants and layouts in this file change only together
// with frameVersion, and decoders of older versions stay.

// A frame is one entry of the library: the records of one commit group, or a part of them. All
// integers are little-endian.
//
//	 0  4  magic       fe 57 46 fd   (fe and fd never occur in UTF-8)
//	 4  1  version     1
//	 5  1  flags       1: last frame of its group; 2: clean mark (no records, written at a clean stop);
//	               4: what follows it in the segment may be zeros that were written ahead
//	 6  2  reserved    0
//	 8  4  body length bytes of records behind the header
//	12  4  count       records in the body
//	16  8  sequence    the library's index of this entry
//	24  8  first       offset of the first record; of the next one to come when count is 0
//	32  8  watermark   highest sequence that was durable when this frame was made
//	40  8  epoch
//	48  8  salt        random, of one life of the log, but see layout.keepSalt; shown nowhere
//	56  4  crc32c      of bytes 0 to 55
//	60     records
const (
	frameHeaderBytes = 60
	frameVersion     = 1
	// frameCheckedBytes is how much of the header its checksum covers: all before it.
	frameCheckedBytes = frameHeaderBytes - 4

	flagGroupEnd  = 1
	flagCleanMark = 2
	flagZeros     = 4
)

// A record describes itself, so that it can be found and proven without the frame around it.
//
//	 0  2  marker      fc fb         (neither occurs in UTF-8)
//	 2  1  flags       Flags, low bits only
//	 3  1  stream length
//	 4  4  length      of the whole record, this header included
//	 8  4  crc32c      of bytes 0 to 7 and 12 to the end, xor both halves of the salt
//	12  8  offset
//	20  8  received    nanoseconds since 1970 UTC
//	28  1  remote length: 0, 4 or 16
//	29  1  reserved    0
//	30  2  reason length
//	32     stream, remote, reason, payload
const recordHeaderBytes = 32

var (
	frameMagic   = [4]byte{0xfe, 0x57, 0x46, 0xfd}
	recordMarker = [2]byte{0xfc, 0xfb}
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
)

// generation is what the frames and records of one life have in common. The epoch is public, it stands in
// document ids; the salt is not, so that nobody can write a frame or record into an event that a search
// through damaged bytes would take for one of ours.
type generation struct {
	epoch Epoch
	salt  uint64
}

func (g generation) known() bool { return g.epoch != 0 }

// What a decoder found wrong. They are wrapped into a CorruptionError before anybody outside sees them.
var (
	errShort    = errors.New("cut short")
	errMagic    = errors.New("no frame here")
	errChecksum = errors.New("checksum does not match")
	errLength   = errors.New("lengths contradict each other")
	errSequence = errors.New("sequence is not the expected one")
	errMissing  = errors.New("records are missing")
	errTorn     = errors.New("the last group was never whole")
	errMark     = errors.New("the mark of a start or an orderly stop is damaged")
	errLostEnd  = errors.New("the log is known to have been longer")
)

type frameHeader struct {
	flags     uint8
	bodyBytes uint32
	count     uint32
	seq       uint64
	first     Offset
	watermark uint64
	gen       generation
}

func (h *frameHeader) groupEnd() bool  { return h.flags&flagGroupEnd != 0 }
func (h *frameHeader) cleanMark() bool { return h.flags&flagCleanMark != 0 }
func (h *frameHeader) zeros() bool     { return h.flags&flagZeros != 0 }

// putFrameHeader writes h into the first frameHeaderBytes of dst.
func putFrameHeader(dst []byte, h *frameHeader) {
	copy(dst, frameMagic[:])
	dst[4], dst[5], dst[6], dst[7] = frameVersion, h.flags, 0, 0
	binary.LittleEndian.PutUint32(dst[8:], h.bodyBytes)
	binary.LittleEndian.PutUint32(dst[12:], h.count)
	binary.LittleEndian.PutUint64(dst[16:], h.seq)
	binary.LittleEndian.PutUint64(dst[24:], uint64(h.first))
	binary.LittleEndian.PutUint64(dst[32:], h.watermark)
	binary.LittleEndian.PutUint64(dst[40:], uint64(h.gen.epoch))
	binary.LittleEndian.PutUint64(dst[48:], h.gen.salt)
	binary.LittleEndian.PutUint32(dst[frameCheckedBytes:], crc32.Checksum(dst[:frameCheckedBytes], castagnoli))
}

// decodeFrameHeader reads and proves a frame header at the start of b.
func decodeFrameHeader(b []byte) (frameHeader, error) {
	if len(b) < frameHeaderBytes {
		return frameHeader{}, errShort
	}
	if [4]byte(b[:4]) != frameMagic {
		return frameHeader{}, errMagic
	}
	if binary.LittleEndian.Uint32(b[frameCheckedBytes:]) != crc32.Checksum(b[:frameCheckedBytes], castagnoli) {
		return frameHeader{}, errChecksum
	}
	if b[4] > frameVersion {
		return frameHeader{}, fmt.Errorf("frame format version %d: %w", b[4], ErrNewerFormat)
	}
	return frameHeader{
		flags:     b[5],
		bodyBytes: binary.LittleEndian.Uint32(b[8:]),
		count:     binary.LittleEndian.Uint32(b[12:]),
		seq:       binary.LittleEndian.Uint64(b[16:]),
		first:     Offset(binary.LittleEndian.Uint64(b[24:])),
		watermark: binary.LittleEndian.Uint64(b[32:]),
		gen:       generation{epoch: Epoch(binary.LittleEndian.Uint64(b[40:])), salt: binary.LittleEndian.Uint64(b[48:])},
	}, nil
}

// recordBytes returns the size on disk of ev received from origin.
func recordBytes(origin *Origin, ev *Event) int {
	return recordHeaderBytes + len(origin.Stream) + origin.Remote.BitLen()/8 + min(len(ev.Reason), MaxReasonBytes) + len(ev.Payload)
}

// appendRecord appends the record of ev to dst.
func appendRecord(dst []byte, gen generation, offset Offset, origin *Origin, ev *Event) []byte {
	start := len(dst)
	reason := ev.Reason[:min(len(ev.Reason), MaxReasonBytes)]
	var h [recordHeaderBytes]byte
	copy(h[:], recordMarker[:])
	h[2] = uint8(ev.Flags &^ FlagDamaged)
	h[3] = uint8(len(origin.Stream))
	binary.LittleEndian.PutUint32(h[4:], uint32(recordBytes(origin, ev)))
	binary.LittleEndian.PutUint64(h[12:], uint64(offset))
	binary.LittleEndian.PutUint64(h[20:], uint64(origin.ReceivedAt.UnixNano()))
	h[28] = uint8(origin.Remote.BitLen() / 8)
	binary.LittleEndian.PutUint16(h[30:], uint16(len(reason)))
	dst = append(dst, h[:]...)
	dst = append(dst, origin.Stream...)
	switch {
	case origin.Remote.Is4():
		a := origin.Remote.As4()
		dst = append(dst, a[:]...)
	case origin.Remote.IsValid():
		a := origin.Remote.As16()
		dst = append(dst, a[:]...)
	}
	dst = append(dst, reason...)
	dst = append(dst, ev.Payload...)
	binary.LittleEndian.PutUint32(dst[start+8:], recordChecksum(gen, dst[start:]))
	return dst
}

func recordChecksum(gen generation, rec []byte) uint32 {
	c := crc32.Update(crc32.Update(0, castagnoli, rec[:8]), castagnoli, rec[12:])
	return c ^ uint32(gen.salt) ^ uint32(gen.salt>>32)
}

// recordLength returns the length that the record at the start of b claims, or an error when that
// cannot be a record.
func recordLength(b []byte) (int, error) {
	if len(b) < recordHeaderBytes {
		return 0, errShort
	}
	if [2]byte(b[:2]) != recordMarker {
		return 0, errMagic
	}
	n := int(binary.LittleEndian.Uint32(b[4:]))
	if n < recordHeaderBytes+int(b[3])+int(b[28])+int(binary.LittleEndian.Uint16(b[30:])) {
		return 0, errLength
	}
	return n, nil
}

// streamNames spares an allocation per record: a log knows few streams.
type streamNames map[string]string

func (s streamNames) intern(b []byte) string {
	if name, ok := s[string(b)]; ok {
		return name
	}
	if len(s) >= 1024 { // a log of many short-lived streams must not grow the map for ever
		clear(s)
	}
	name := string(b)
	s[name] = name
	return name
}

// decodeRecord reads and proves the record at the start of b and returns its length. The payload
// points into b.
func decodeRecord(b []byte, gen generation, names streamNames) (Record, int, error) {
	n, err := proveRecord(b, gen)
	if err != nil {
		return Record{}, 0, err
	}
	b = b[:n:n]
	var rec Record
	fillRecord(&rec, b, gen)
	rec.Stream = names.intern(streamOf(b))
	return rec, n, nil
}

// proveRecord returns the length of the record at the start of b once its checksum says that it is one.
func proveRecord(b []byte, gen generation) (int, error) {
	n, err := recordLength(b)
	if err != nil {
		return 0, err
	}
	if n > len(b) {
		return 0, errShort
	}
	if binary.LittleEndian.Uint32(b[8:]) != recordChecksum(gen, b[:n]) {
		return 0, errChecksum
	}
	return n, nil
}

// streamOf returns the name of the stream of a record.
func streamOf(rec []byte) []byte { return rec[recordHeaderBytes : recordHeaderBytes+int(rec[3])] }

// fillRecord reads all of a record that was proven but its stream.
func fillRecord(rec *Record, b []byte, gen generation) {
	*rec = Record{
		Offset:     Offset(binary.LittleEndian.Uint64(b[12:])),
		Epoch:      gen.epoch,
		Flags:      Flags(b[2]) &^ FlagDamaged,
		ReceivedAt: time.Unix(0, int64(binary.LittleEndian.Uint64(b[20:]))).UTC(),
		Count:      1,
		size:       len(b),
	}
	v := b[recordHeaderBytes+int(b[3]):]
	if b[28] != 0 {
		rec.Remote, _ = netip.AddrFromSlice(v[:b[28]])
		v = v[b[28]:]
	}
	reasonBytes := binary.LittleEndian.Uint16(b[30:])
	if reasonBytes != 0 {
		rec.Reason = string(v[:reasonBytes])
	}
	rec.Payload = v[reasonBytes:]
}
