package cutfs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// describe lists names and sizes of a state's files, and the first byte of each.
func describe(s *State) string {
	var all []string
	sizes := s.Files()
	for _, path := range slices.Sorted(maps.Keys(sizes)) {
		all = append(all, fmt.Sprintf("%s:%d", path, sizes[path]))
	}
	return strings.Join(all, " ")
}

// states collects all that a model makes at the end of a recording.
func states(m Model, ops []Op) map[string]bool {
	c := NewCursor(NewTree(), ops)
	for c.Next() {
	}
	got := map[string]bool{}
	for s := range c.Systematic(m, 1) {
		got[describe(s)] = true
	}
	for seed := range uint64(200) {
		got[describe(c.Random(m, seed))] = true
	}
	return got
}

func TestCursor_StatesThatAModelAllows(t *testing.T) {
	create := func(node uint64, name string) Op { return Op{Kind: Create, Node: node, Parent: rootNode, Name: name} }
	write := func(node uint64, n int) Op { return Op{Kind: Write, Node: node, Data: []byte(strings.Repeat("x", n))} }
	sync := func(node uint64) Op { return Op{Kind: SyncFile, Node: node} }
	syncRoot := Op{Kind: SyncDir, Node: rootNode}
	remove := func(node uint64, name string) Op { return Op{Kind: Unlink, Node: node, Parent: rootNode, Name: name} }
	tests := []struct {
		name          string
		ops           []Op
		must, mustNot map[Model][]string
	}{
		{"a file that was fsynced, in a directory that was not", []Op{create(2, "a"), write(2, 1), sync(2)},
			map[Model][]string{Ordered: {"a:1"}, Reordering: {"", "a:1"}}, map[Model][]string{Ordered: {"", "a:0"}, Reordering: {"a:0"}}},
		{"a directory that was fsynced, a file that was not", []Op{create(2, "a"), write(2, 1), syncRoot},
			map[Model][]string{Ordered: {"a:0", "a:1"}, Reordering: {"a:0", "a:1"}}, map[Model][]string{Ordered: {""}, Reordering: {""}}},
		{"both were", []Op{create(2, "a"), write(2, 1), sync(2), syncRoot},
			map[Model][]string{Ordered: {"a:1"}, Reordering: {"a:1"}}, map[Model][]string{Ordered: {"", "a:0"}, Reordering: {"", "a:0"}}},
		{"an fsync that failed, and one that then said yes", []Op{create(2, "a"), syncRoot, write(2, 1), {Kind: SyncFile, Node: 2, Err: syscall.EIO}, sync(2)},
			map[Model][]string{Ordered: {"a:0", "a:1"}, Reordering: {"a:0", "a:1"}}, nil},
		{"two files that went under one fsync of the directory", []Op{create(2, "a"), create(3, "b"), syncRoot, remove(2, "a"), remove(3, "b")},
			map[Model][]string{Ordered: {"a:0 b:0", "b:0", ""}, Reordering: {"a:0 b:0", "a:0", "b:0", ""}}, map[Model][]string{Ordered: {"a:0"}}},
		{"a rename over another file", []Op{create(2, "a"), create(3, "b"), write(3, 2), sync(3), syncRoot, {Kind: Rename, Node: 3, Parent: rootNode, Name: "b", NewParent: rootNode, NewName: "a"}},
			map[Model][]string{Ordered: {"a:0 b:2", "a:2"}, Reordering: {"a:0 b:2", "a:2"}}, map[Model][]string{Ordered: {"", "b:2", "a:0"}, Reordering: {"", "b:2", "a:0"}}},
		{"an operation that failed", []Op{create(2, "a"), syncRoot, {Kind: Unlink, Node: 2, Parent: rootNode, Name: "a", Err: syscall.EIO}},
			map[Model][]string{Ordered: {"a:0"}, Reordering: {"a:0"}}, map[Model][]string{Ordered: {""}, Reordering: {""}}},
	}
	for _, test := range tests {
		for _, m := range Models() {
			t.Run(test.name+"/"+m.String(), func(t *testing.T) {
				got := states(m, test.ops)
				for _, want := range test.must[m] {
					if !got[want] {
						t.Errorf("no state is %q; there are %q", want, slices.Sorted(maps.Keys(got)))
					}
				}
				for _, bad := range test.mustNot[m] {
					if got[bad] {
						t.Errorf("a state is %q", bad)
					}
				}
			})
		}
	}
}

// TestCursor_Random_RepeatsItself makes the same state of the same seed.
func TestCursor_Random_RepeatsItself(t *testing.T) {
	ops := []Op{{Kind: Create, Node: 2, Parent: rootNode, Name: "a"}, {Kind: Write, Node: 2, Data: []byte(strings.Repeat("y", 5000))}, {Kind: Write, Node: 2, Offset: 5000, Data: []byte("end")}}
	different := map[uint64]bool{}
	for seed := range uint64(50) {
		var hashes []uint64
		for range 2 {
			c := NewCursor(NewTree(), ops)
			for c.Next() {
			}
			hashes = append(hashes, c.Random(Reordering, seed).Hash())
		}
		if hashes[0] != hashes[1] {
			t.Fatalf("seed %d makes two states", seed)
		}
		different[hashes[0]] = true
	}
	if len(different) < 10 {
		t.Errorf("50 seeds make %d states", len(different))
	}
}

// TestState_Tears looks at the bytes that a torn write leaves.
func TestState_Tears(t *testing.T) {
	ops := []Op{{Kind: Create, Node: 2, Parent: rootNode, Name: "a"}, {Kind: SyncDir, Node: rootNode},
		{Kind: Write, Node: 2, Data: []byte(strings.Repeat("o", 2000))}, {Kind: SyncFile, Node: 2}, {Kind: Write, Node: 2, Data: []byte(strings.Repeat("n", 3000))}}
	c := NewCursor(NewTree(), ops)
	for c.Next() {
	}
	kinds := map[string]bool{}
	for seed := range uint64(300) {
		data := c.Random(Reordering, seed).files[2].data
		switch text := string(data); {
		case text == strings.Repeat("o", 2000):
			kinds["old"] = true
		case text == strings.Repeat("n", 3000):
			kinds["new"] = true
		case strings.Trim(text, "n") == "" || strings.HasPrefix(text, "n") && strings.Trim(strings.TrimLeft(text, "n"), "o") == "":
			kinds["prefix"] = true
		case strings.Trim(text, "no\x00") == "":
			kinds["sectors or zeros"] = true
		default:
			kinds["garbage"] = true
		}
	}
	if len(kinds) != 5 {
		t.Errorf("only %v", kinds)
	}
}
