package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// The parts of bbolt's file format that the check needs; bbolt writes integers in the machine's own order.
//
//	page     id 8 | flags 2 | count 2 | overflow 4 | elements ... data
//	meta     magic 4 | version 4 | page size 4 | flags 4 | root 8 | sequence 8 | free list 8 | pages 8 | txid 8 | FNV-1a 8
//	branch   pos 4 | key size 4 | page 8                      pos counts from the element's own first byte
//	leaf     flags 4 | pos 4 | key size 4 | value size 4
//	bucket   (value of a leaf element with flag 1) root page 8 | sequence 8 | an inline page, whose id is 0, when root is 0
const (
	pageHeader    = 16
	elementSize   = 16
	bucketHeader  = 16
	metaSize      = 64
	boltMagic     = 0xED0CDAED
	boltVersion   = 2
	flagBranch    = 0x01
	flagLeaf      = 0x02
	flagFreelist  = 0x10
	noFreelist    = ^uint64(0)
	maxTreeDepth  = 64 // a tree of two keys a page would hold 2^64 entries at this depth
	maxPageSize   = 1 << 24
	maxPageMemory = 1 << 30
)

var errPages = errors.New("pages are inconsistent")

var order = binary.NativeEndian

// meta is one of the two roots of a bbolt file.
type meta struct {
	pageSize, root, freelist, pages, txid uint64
}

// verifier walks the pages of a bbolt file that nobody writes.
type verifier struct {
	r    io.ReaderAt
	meta meta
	seen []uint64 // bit set of the pages reached so far
}

// verifyPages reports whether every page that bbolt would reach from the file's newest valid root is where it claims to be,
// within bounds, in order, reached once and not free. It reads with ReadAt only: no mapped memory, no fault.
func verifyPages(r io.ReaderAt, size int64) error {
	m, err := newestMeta(r, size)
	if err != nil {
		return err
	}
	if m.pages > uint64(size)/m.pageSize {
		return fmt.Errorf("%w: %d pages of %d bytes in a file of %d", errPages, m.pages, m.pageSize, size)
	}
	v := &verifier{r: r, meta: m, seen: make([]uint64, m.pages/64+1)}
	v.seen[0] = 3 // the two meta pages
	if err := v.tree(m.root, nil, nil, 0, true); err != nil {
		return err
	}
	return v.freelist()
}

// newestMeta returns the valid root with the highest transaction, as bbolt would choose it.
func newestMeta(r io.ReaderAt, size int64) (meta, error) {
	first, ok := readMeta(r, 0)
	if ok {
		if second, ok := readMeta(r, int64(first.pageSize)); ok && second.pageSize == first.pageSize && second.txid > first.txid {
			return second, nil
		}
		return first, nil
	}
	// Without the first root the page size is unknown; bbolt tries all of them as well.
	for pos := int64(1024); pos <= maxPageSize && pos < size; pos <<= 1 {
		if m, ok := readMeta(r, pos); ok && m.pageSize == uint64(pos) {
			return m, nil
		}
	}
	return meta{}, fmt.Errorf("%w: no valid root", errPages)
}

func readMeta(r io.ReaderAt, pos int64) (meta, bool) {
	var page [pageHeader + metaSize]byte
	if _, err := r.ReadAt(page[:], pos); err != nil {
		return meta{}, false
	}
	b := page[pageHeader:]
	h := fnv.New64a()
	_, _ = h.Write(b[:metaSize-8]) // a hash does not fail
	if order.Uint32(b) != boltMagic || order.Uint32(b[4:]) != boltVersion || order.Uint64(b[metaSize-8:]) != h.Sum64() {
		return meta{}, false
	}
	m := meta{
		pageSize: uint64(order.Uint32(b[8:])),
		root:     order.Uint64(b[16:]),
		freelist: order.Uint64(b[32:]),
		pages:    order.Uint64(b[40:]),
		txid:     order.Uint64(b[48:]),
	}
	if m.pageSize < 1024 || m.pageSize > maxPageSize || m.pageSize&(m.pageSize-1) != 0 || m.pages < 4 {
		return meta{}, false
	}
	return m, true
}

// page reads a page with its overflow and marks it as reached.
func (v *verifier) page(id uint64) ([]byte, error) {
	if id < 2 || id >= v.meta.pages {
		return nil, fmt.Errorf("%w: page %d of %d", errPages, id, v.meta.pages)
	}
	var header [pageHeader]byte
	if _, err := v.r.ReadAt(header[:], int64(id*v.meta.pageSize)); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	run := uint64(order.Uint32(header[12:])) + 1
	if order.Uint64(header[:]) != id || run > v.meta.pages-id || run*v.meta.pageSize > maxPageMemory {
		return nil, fmt.Errorf("%w: header of page %d", errPages, id)
	}
	for i := id; i < id+run; i++ {
		if v.seen[i/64]&(1<<(i%64)) != 0 {
			return nil, fmt.Errorf("%w: page %d reached twice", errPages, i)
		}
		v.seen[i/64] |= 1 << (i % 64)
	}
	b := make([]byte, run*v.meta.pageSize)
	if _, err := v.r.ReadAt(b, int64(id*v.meta.pageSize)); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	return b, nil
}

// tree checks the page and all below it. Its keys are at least low and below high; nil means no bound. All values of the top
// have to be buckets: bbolt neither opens one that is not nor makes another of its name.
func (v *verifier) tree(id uint64, low, high []byte, depth int, top bool) error {
	b, err := v.page(id)
	if err != nil {
		return err
	}
	if depth > maxTreeDepth {
		return fmt.Errorf("%w: page %d lies too deep", errPages, id)
	}
	switch order.Uint16(b[8:]) {
	case flagLeaf:
		err = v.leaf(b, low, high, depth, top)
	case flagBranch:
		err = v.branch(b, low, high, depth, top)
	default:
		err = fmt.Errorf("%w: it is neither branch nor leaf", errPages)
	}
	if err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

func (v *verifier) branch(b, low, high []byte, depth int, top bool) error {
	count := int(order.Uint16(b[10:]))
	if count == 0 {
		return fmt.Errorf("%w: empty branch", errPages)
	}
	keys := make([][]byte, count)
	for i := range count {
		at := pageHeader + i*elementSize
		key, err := element(b, at, count, 0, 4, -1)
		if err != nil {
			return err
		}
		keys[i] = key
	}
	if err := ascending(keys, low, high); err != nil {
		return err
	}
	for i := range count {
		next := high
		if i+1 < count {
			next = keys[i+1]
		}
		if err := v.tree(order.Uint64(b[pageHeader+i*elementSize+8:]), keys[i], next, depth+1, top); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) leaf(b, low, high []byte, depth int, top bool) error {
	count := int(order.Uint16(b[10:]))
	keys := make([][]byte, count)
	for i := range count {
		at := pageHeader + i*elementSize
		key, err := element(b, at, count, 4, 8, 12)
		if err != nil {
			return err
		}
		keys[i] = key
		if top && order.Uint32(b[at:]) == 0 {
			return fmt.Errorf("%w: %q is no bucket", errPages, key)
		}
		if err := v.value(b, at, len(key), depth); err != nil {
			return err
		}
	}
	return ascending(keys, low, high)
}

// value follows a leaf element whose value is a bucket.
func (v *verifier) value(b []byte, at, keyLen, depth int) error {
	switch flags := order.Uint32(b[at:]); flags {
	case 0:
		return nil
	case 1:
	default:
		return fmt.Errorf("%w: element flags %x", errPages, flags)
	}
	start := at + int(order.Uint32(b[at+4:])) + keyLen
	val := b[start : start+int(order.Uint32(b[at+12:]))]
	if len(val) < bucketHeader {
		return fmt.Errorf("%w: bucket of %d bytes", errPages, len(val))
	}
	if root := order.Uint64(val); root != 0 {
		return v.tree(root, nil, nil, depth+1, false)
	}
	inline := val[bucketHeader:]
	if len(inline) < pageHeader || order.Uint16(inline[8:]) != flagLeaf || order.Uint64(inline) != 0 { // bbolt would free the page of that number
		return fmt.Errorf("%w: inline bucket", errPages)
	}
	if depth > maxTreeDepth {
		return fmt.Errorf("%w: inline bucket lies too deep", errPages)
	}
	return v.leaf(inline, nil, nil, depth+1, false)
}

// element checks the bounds of the element at b[at:] and returns its key. The sizes stand at the offsets given, the value's
// only when vsizeAt is not negative.
func element(b []byte, at, count, posAt, ksizeAt, vsizeAt int) ([]byte, error) {
	table := uint64(pageHeader + count*elementSize)
	if table > uint64(len(b)) {
		return nil, fmt.Errorf("%w: %d elements in %d bytes", errPages, count, len(b))
	}
	start := uint64(at) + uint64(order.Uint32(b[at+posAt:]))
	end := start + uint64(order.Uint32(b[at+ksizeAt:]))
	last := end
	if vsizeAt >= 0 {
		last += uint64(order.Uint32(b[at+vsizeAt:]))
	}
	if start < table || last > uint64(len(b)) {
		return nil, fmt.Errorf("%w: element at byte %d leaves its page", errPages, at)
	}
	return b[start:end], nil
}

func ascending(keys [][]byte, low, high []byte) error {
	for i, k := range keys {
		if i == 0 && low != nil && bytes.Compare(k, low) < 0 ||
			i > 0 && bytes.Compare(k, keys[i-1]) <= 0 ||
			high != nil && bytes.Compare(k, high) >= 0 {
			return fmt.Errorf("%w: key %d is out of order", errPages, i)
		}
	}
	return nil
}

// freelist checks that no page is both free and in use: bbolt would overwrite it with its next write. A page that is
// neither is only wasted, and no damage.
func (v *verifier) freelist() error {
	if v.meta.freelist == noFreelist {
		return nil
	}
	b, err := v.page(v.meta.freelist)
	if err != nil {
		return err
	}
	if order.Uint16(b[8:]) != flagFreelist {
		return fmt.Errorf("%w: page %d is no free list", errPages, v.meta.freelist)
	}
	ids, count := b[pageHeader:], uint64(order.Uint16(b[10:]))
	if count == 0xFFFF { // more than fit into the field: the first entry is the count
		if len(ids) < 8 {
			return fmt.Errorf("%w: free list", errPages)
		}
		count, ids = order.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return fmt.Errorf("%w: free list of %d entries", errPages, count)
	}
	for i := range count {
		id := order.Uint64(ids[i*8:])
		if id < 2 || id >= v.meta.pages || v.seen[id/64]&(1<<(id%64)) != 0 {
			return fmt.Errorf("%w: page %d cannot be free", errPages, id)
		}
		v.seen[id/64] |= 1 << (id % 64)
	}
	return nil
}
