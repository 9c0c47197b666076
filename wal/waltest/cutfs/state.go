package cutfs

import (
	"fmt"
	"hash/maphash"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// State is what a cut may leave on the disk.
type State struct {
	// At is the position of the cut: operations and marks before it happened.
	At int
	// How says how the state was made, so that it can be made again.
	How string

	dirs  map[uint64]map[string]uint64
	files map[uint64]content
}

// WriteTo writes the state into a directory that is empty or not there.
func (s *State) WriteTo(dir string) error {
	return s.writeDir(rootNode, dir)
}

func (s *State) writeDir(node uint64, path string) error {
	if err := os.MkdirAll(path, 0o750); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s.dirs[node])) {
		child, at := s.dirs[node][name], filepath.Join(path, name)
		if _, isDir := s.dirs[child]; isDir {
			if err := s.writeDir(child, at); err != nil {
				return err
			}
		} else if err := writeFile(at, s.files[child]); err != nil {
			return err
		}
	}
	return nil
}

// writeFile leaves a hole where nothing but zeros is.
func writeFile(path string, c content) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(c.data)
	if err == nil && c.size > int64(len(c.data)) {
		err = f.Truncate(c.size)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

var hashSeed = maphash.MakeSeed()

// Hash is the same for states whose files have the same names and bytes, within a process.
func (s *State) Hash() uint64 {
	var h maphash.Hash
	h.SetSeed(hashSeed)
	s.hashDir(&h, rootNode)
	return h.Sum64()
}

func (s *State) hashDir(h *maphash.Hash, node uint64) {
	for _, name := range slices.Sorted(maps.Keys(s.dirs[node])) {
		child := s.dirs[node][name]
		maphash.WriteComparable(h, name)
		if _, isDir := s.dirs[child]; isDir {
			maphash.WriteComparable(h, "begins")
			s.hashDir(h, child)
			maphash.WriteComparable(h, "ends")
			continue
		}
		c := s.files[child]
		maphash.WriteComparable(h, c.size)
		h.Write(c.data) //nolint:errcheck // a hash never fails
	}
}

func (s *State) String() string { return fmt.Sprintf("cut at operation %d, %s", s.At, s.How) }

// Files lists the paths and sizes of the state's files, for tests.
func (s *State) Files() map[string]int64 {
	files := map[string]int64{}
	var walk func(node uint64, path string)
	walk = func(node uint64, path string) {
		for name, child := range s.dirs[node] {
			at := filepath.Join(path, name)
			if _, isDir := s.dirs[child]; isDir {
				walk(child, at)
			} else {
				files[at] = s.files[child].size
			}
		}
	}
	walk(rootNode, "")
	return files
}
