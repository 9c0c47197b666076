package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// profile takes a CPU profile of a weir while the load runs, for at least a second. name says of what. The function
// that it returns waits for it, takes a heap profile, and says what failed.
func (l *lab) profile(ctx context.Context, admin, name string, length time.Duration) func() error {
	file, err := l.profilePath(name)
	if err != nil {
		return func() error { return err }
	}
	keep := func(kind, path string) error {
		err := getWith(ctx, patient, admin+"/debug/pprof/"+path, func(r io.Reader) error {
			return writeFile(file+"."+kind+".pprof", func(w io.Writer) error {
				_, err := io.Copy(w, r)
				return err
			})
		})
		if err != nil {
			return fmt.Errorf("take %s profile: %w", kind, err)
		}
		return nil
	}
	seconds := max(int(math.Ceil(length.Seconds())), 1)
	taken := make(chan error, 1)
	go func() { taken <- keep("cpu", fmt.Sprintf("profile?seconds=%d", seconds)) }()
	return func() error { return errors.Join(<-taken, keep("heap", "heap")) }
}

// profilePath is where a profile of something goes, without the kind, in a directory that exists.
func (l *lab) profilePath(of string) (string, error) {
	if err := os.MkdirAll(l.profiles, 0o755); err != nil {
		return "", fmt.Errorf("make directory for profiles: %w", err)
	}
	return filepath.Join(l.profiles, notInNames.ReplaceAllString(strings.ToLower(of), "-")), nil
}
