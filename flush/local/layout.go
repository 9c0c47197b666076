package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The directory of a store:
//
//	FORMAT              "weir store 1"
//	0000000001/         a part: root.bolt and *.zap of the index; ids, once it is sealed
//	0000000002/
//	0000000001.new/     a part being made: removed by Open
//	0000000001.old/     a part being removed: removed by Open
//	0000000001.damaged/ a part set aside
const (
	formatFile    = "FORMAT"
	formatPrefix  = "weir store "
	formatVersion = 1

	suffixNew     = ".new"
	suffixOld     = ".old"
	suffixDamaged = ".damaged"
)

// checkFormat refuses a store of a newer version and marks one that has no mark yet.
func checkFormat(dir string) error {
	path := filepath.Join(dir, formatFile)
	text, err := os.ReadFile(path)
	if err == nil {
		n, perr := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(string(text), formatPrefix)))
		if perr == nil && n > formatVersion {
			return fmt.Errorf("%w: %s says version %d, this weir reads up to %d", ErrFormat, path, n, formatVersion)
		}
		if perr == nil {
			return nil
		}
		// Unreadable: there has been only one version, so nothing can be mistaken.
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read format: %w", err)
	}
	if err := writeSynced(path+suffixNew, []byte(formatPrefix+strconv.Itoa(formatVersion)+"\n")); err != nil {
		return fmt.Errorf("write format: %w", err)
	}
	if err := os.Rename(path+suffixNew, path); err != nil {
		return fmt.Errorf("name format: %w", err)
	}
	return syncDir(dir)
}

func partName(number uint64) string { return fmt.Sprintf("%010d", number) }

// leftover is a part that takes up space and is not in use.
type leftover struct {
	dir   string
	bytes int64
	held  bool // whole, but out of use until the next start: not to be removed
}

type layout struct {
	parts []*part    // oldest first
	aside []leftover // oldest first
}

// readLayout lists the parts in dir and removes what a crash left half made or half removed.
func readLayout(dir string) (layout, error) {
	var l layout
	entries, err := os.ReadDir(dir)
	if err != nil {
		return l, fmt.Errorf("list directory: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		digits, suffix, _ := strings.Cut(e.Name(), ".")
		number, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || !e.IsDir() || digits != partName(number) {
			continue // not ours
		}
		switch "." + suffix {
		case ".":
			l.parts = append(l.parts, newPart(path, number))
		case suffixNew, suffixOld:
			if err := os.RemoveAll(path); err != nil {
				return l, fmt.Errorf("remove %s: %w", e.Name(), err)
			}
		default:
			n, err := dirBytes(path)
			if err != nil {
				return l, fmt.Errorf("measure %s: %w", e.Name(), err)
			}
			l.aside = append(l.aside, leftover{dir: path, bytes: n})
		}
	}
	slices.SortFunc(l.parts, func(a, b *part) int {
		if a.number < b.number {
			return -1
		}
		return 1
	})
	return l, nil
}
