package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// sentSuffix ends the hidden name that a spool file has between its last acknowledgement and its removal.
const sentSuffix = ".weir-sent"

// lockSpools keeps two runs from sending the same directory at the same time.
func lockSpools(args []string) (unlock func(), err error) {
	var locked []*os.File
	unlock = func() {
		for _, d := range locked {
			_ = d.Close() // gives the lock up
		}
	}
	for _, dir := range directoriesOf(args) {
		d, err := os.Open(dir)
		if err == nil {
			locked = append(locked, d)
			err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		}
		if errors.Is(err, syscall.EWOULDBLOCK) {
			unlock()
			return nil, fmt.Errorf("%s: another weir send is at work there", dir)
		}
		if err != nil {
			unlock()
			return nil, fmt.Errorf("lock %s: %s", dir, reasonOf(err))
		}
	}
	return unlock, nil
}

// directoriesOf returns the arguments that are directories, each once.
func directoriesOf(args []string) []string {
	var dirs []string
	seen := map[string]bool{}
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err == nil && info.IsDir() && !seen[filepath.Clean(arg)] {
			seen[filepath.Clean(arg)] = true
			dirs = append(dirs, arg)
		}
	}
	return dirs
}

// removeSpooled removes a file whose every event is acknowledged, and its state. The file takes a
// hidden name first: from then on a new file of the old name is never mistaken for the one that was
// sent, wherever a crash falls; finishRemovals does what a crash left undone.
func removeSpooled(path string, f *os.File, states []string) error {
	opened, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	named, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("look at the sent file: %s", reasonOf(err))
	}
	if !os.SameFile(opened, named) {
		return errors.New("another file took its name while it was sent; the next run sends that one")
	}
	hidden := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+sentSuffix)
	if err := os.Rename(path, hidden); err != nil {
		return fmt.Errorf("it is sent, but cannot be removed: %w", err)
	}
	return removeHidden(hidden, states)
}

func removeHidden(hidden string, states []string) error {
	if err := syncDir(filepath.Dir(hidden)); err != nil {
		return err
	}
	if err := removeState(states); err != nil {
		return err
	}
	if err := os.Remove(hidden); err != nil {
		return fmt.Errorf("remove the sent file: %w", err)
	}
	return nil
}

// finishRemovals removes what an earlier run had sent whole but was killed before it could remove.
func (r *sendRun) finishRemovals(args []string) error {
	for _, dir := range directoriesOf(args) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return fmt.Errorf("%s: %s", dir, reasonOf(err))
		}
		for _, e := range entries {
			name, sent := strings.CutSuffix(e.Name(), sentSuffix)
			if !sent || !strings.HasPrefix(name, ".") || r.opts.dryRun {
				continue
			}
			states, err := statePaths(filepath.Join(dir, name[1:]), r.stateDir)
			if err != nil {
				return err
			}
			if err := removeHidden(filepath.Join(dir, e.Name()), states); err != nil {
				return err
			}
		}
	}
	return nil
}
