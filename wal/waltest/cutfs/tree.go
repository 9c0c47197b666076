package cutfs

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// rootNode is the number of the directory that was mounted.
const rootNode = 1

// content is the bytes of a file: data, and zeros behind it up to size. Data that a state shares with others is never
// written to; edit copies.
type content struct {
	data []byte
	size int64
}

// zeros is what a write of nothing but zeros refers to, so that large fillings take no memory.
var zeros = make([]byte, 1<<20)

func allZero(b []byte) bool {
	for len(b) > len(zeros) {
		if !bytes.Equal(b[:len(zeros)], zeros) {
			return false
		}
		b = b[len(zeros):]
	}
	return bytes.Equal(b, zeros[:len(b)])
}

// write returns c with b at off.
func (c content) write(off int64, b []byte) content {
	end := off + int64(len(b))
	if off >= int64(len(c.data)) && allZero(b) {
		return content{c.data, max(c.size, end)}
	}
	data := make([]byte, max(int64(len(c.data)), end))
	copy(data, c.data)
	copy(data[off:], b)
	return content{data, max(c.size, end)}
}

// resize returns c cut, or grown with zeros.
func (c content) resize(size int64) content {
	return content{c.data[:min(int64(len(c.data)), size)], size}
}

// at returns n bytes from off, zero beyond the end.
func (c content) at(off int64, n int) []byte {
	b := make([]byte, n)
	if off < int64(len(c.data)) {
		copy(b, c.data[off:])
	}
	return b
}

// Tree is the content of a directory, all of it durable.
type Tree struct {
	dirs  map[uint64]map[string]uint64 // names and the nodes they stand for
	files map[uint64]content
}

// NewTree returns a tree of one empty directory.
func NewTree() *Tree {
	return &Tree{dirs: map[uint64]map[string]uint64{rootNode: {}}, files: map[uint64]content{}}
}

// readTree reads a directory. number gives each file and directory its number.
func readTree(dir string, number func(path string) (uint64, error)) (*Tree, error) {
	t := NewTree()
	nodes := map[string]uint64{dir: rootNode}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		node, err := number(path)
		if err != nil {
			return err
		}
		t.dirs[nodes[filepath.Dir(path)]][d.Name()] = node
		switch {
		case d.IsDir():
			t.dirs[node], nodes[path] = map[string]uint64{}, node
		case d.Type().IsRegular():
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			t.files[node] = content{size: int64(len(b))}
			if !allZero(b) {
				t.files[node] = content{b, int64(len(b))}
			}
		default:
			return fmt.Errorf("%s is neither file nor directory", path)
		}
		return nil
	})
	return t, err
}
