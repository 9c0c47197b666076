package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"os"
	"path/filepath"
)

// idFilter says which identities a sealed part cannot hold, so that a new document need not be looked
// up in every part. It is a Bloom filter in blocks of one cache line: eight bits of one block per id,
// 12 bits of memory per id, about 1 wrong "perhaps" in 100.
type idFilter struct {
	summary partSummary
	blocks  []filterBlock
}

type filterBlock [8]uint32

// partSummary is what is known of a sealed part without opening its index.
type partSummary struct {
	Documents uint64
	Oldest    uint64 // order of the oldest document
	Newest    uint64
}

const filterBitsPerID = 12

func newIDFilter(summary partSummary) *idFilter {
	return &idFilter{summary: summary, blocks: make([]filterBlock, summary.Documents*filterBitsPerID/256+1)}
}

// hashID is FNV-1a with a finishing mix. It is on disk.
func hashID(id string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(id); i++ {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	return h ^ h>>29
}

var filterSalts = [8]uint32{
	0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31,
}

func (f *idFilter) block(hash uint64) *filterBlock {
	i, _ := bits.Mul64(hash, uint64(len(f.blocks)))
	return &f.blocks[i]
}

func (f *idFilter) add(id string) {
	hash := hashID(id)
	b := f.block(hash)
	for i, salt := range filterSalts {
		b[i] |= 1 << (uint32(hash) * salt >> 27)
	}
}

// mayHold reports false only for ids that were never added.
func (f *idFilter) mayHold(id string) bool {
	hash := hashID(id)
	b := f.block(hash)
	for i, salt := range filterSalts {
		if b[i]&(1<<(uint32(hash)*salt>>27)) == 0 {
			return false
		}
	}
	return true
}

// The filter's file lies beside the index of a sealed part and is made anew when it is missing or
// damaged. Layout, little endian:
//
//	8 bytes "weirids1", 8 documents, 8 oldest, 8 newest, 8 blocks, 32 per block, 4 CRC32C of all before
const (
	filterFile   = "ids"
	filterMagic  = "weirids1"
	filterHeader = 8 * 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (f *idFilter) encode() []byte {
	buf := make([]byte, 0, filterHeader+32*len(f.blocks)+4)
	buf = append(buf, filterMagic...)
	for _, v := range []uint64{f.summary.Documents, f.summary.Oldest, f.summary.Newest, uint64(len(f.blocks))} {
		buf = binary.LittleEndian.AppendUint64(buf, v)
	}
	for i := range f.blocks {
		for _, w := range f.blocks[i] {
			buf = binary.LittleEndian.AppendUint32(buf, w)
		}
	}
	return binary.LittleEndian.AppendUint32(buf, crc32.Checksum(buf, castagnoli))
}

func decodeIDFilter(buf []byte) (*idFilter, error) {
	if len(buf) < filterHeader+4 || string(buf[:8]) != filterMagic {
		return nil, errors.New("not an id filter")
	}
	body := buf[:len(buf)-4]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(buf[len(body):]) {
		return nil, errors.New("id filter fails its checksum")
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(body[8*i:]) }
	blocks := body[filterHeader:]
	if word(4) == 0 || uint64(len(blocks)) != 32*word(4) {
		return nil, errors.New("id filter has the wrong size")
	}
	f := &idFilter{
		summary: partSummary{Documents: word(1), Oldest: word(2), Newest: word(3)},
		blocks:  make([]filterBlock, word(4)),
	}
	for i := range f.blocks {
		for j := range f.blocks[i] {
			f.blocks[i][j] = binary.LittleEndian.Uint32(blocks[32*i+4*j:])
		}
	}
	return f, nil
}

func readIDFilter(dir string) (*idFilter, error) {
	buf, err := os.ReadFile(filepath.Join(dir, filterFile))
	if err != nil {
		return nil, err
	}
	return decodeIDFilter(buf)
}

// write stores the filter beside the index in dir, whole or not at all.
func (f *idFilter) write(dir string) error {
	path := filepath.Join(dir, filterFile)
	if err := writeSynced(path+".new", f.encode()); err != nil {
		return fmt.Errorf("write id filter: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("name id filter: %w", err)
	}
	return syncDir(dir)
}
