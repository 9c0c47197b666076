package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/weirlog/weir/bench/baseline"
)

// writeFile writes a report to a file.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return errors.Join(write(f), f.Close())
}

// probeSyncs is how many appends tell the speed of the disk.
const probeSyncs = 64

// probeDisk returns the median time of an append of 4 KiB with its sync in dir.
func probeDisk(dir string) (time.Duration, error) {
	f, err := os.Create(filepath.Join(dir, "probe"))
	if err != nil {
		return 0, fmt.Errorf("probe disk: %w", err)
	}
	defer f.Close() // its content is of no use
	page := make([]byte, 4096)
	times := make([]time.Duration, probeSyncs)
	for i := range times {
		start := time.Now()
		if _, err := f.Write(page); err != nil {
			return 0, fmt.Errorf("probe disk: %w", err)
		}
		if err := baseline.Datasync(f); err != nil {
			return 0, fmt.Errorf("probe disk: %w", err)
		}
		times[i] = time.Since(start)
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}
