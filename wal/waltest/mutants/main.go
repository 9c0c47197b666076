// Mutants puts known bugs back in, one at a time, and shows which test catches each: the proof that the tests of the
// promise can fail. Each file in patches is a bug: a first line that says what it is, a line "Test: PACKAGE PATTERN" for
// each test that may catch it, and a patch.
//
//	go run ./wal/waltest/mutants [-run PATTERN]
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
)

func main() {
	only := flag.String("run", "", "try only the bugs whose file names match this regular expression")
	flag.Parse()
	ok, err := tryAll(os.Stdout, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// mutant is one bug.
type mutant struct {
	file string
	what string
	// tests are arguments of go test: a package and a pattern each.
	tests [][2]string
}

// patchesDir is where the bugs are, below the module's root.
const patchesDir = "wal/waltest/mutants/patches"

// tryAll tries every bug in a copy of the work tree and reports whether all were caught.
func tryAll(out io.Writer, only string) (bool, error) {
	match, err := regexp.Compile(only)
	if err != nil {
		return false, err
	}
	root, err := moduleRoot()
	if err != nil {
		return false, err
	}
	mutants, err := readMutants(root)
	if err != nil {
		return false, err
	}
	scratch, err := os.MkdirTemp("", "weir-mutants-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(scratch)
	// One copy serves all bugs: what a bug does not touch need not be compiled again.
	if err := copyTree(root, scratch); err != nil {
		return false, err
	}
	all := true
	w := table.NewWriter()
	w.SetOutputMirror(out)
	w.SetStyle(table.StyleLight)
	w.AppendHeader(table.Row{"bug", "caught by", "after"})
	for _, m := range mutants {
		if !match.MatchString(filepath.Base(m.file)) {
			continue
		}
		begun := time.Now()
		by, err := try(scratch, m)
		if err != nil {
			return false, fmt.Errorf("%s: %w", m.file, err)
		}
		if by == "" {
			by, all = "NOT CAUGHT", false
		}
		fmt.Fprintf(os.Stderr, "%s: %s\n", m.what, by)
		w.AppendRow(table.Row{m.what, by, time.Since(begun).Round(time.Second)})
	}
	w.Render()
	return all, nil
}

func moduleRoot() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	return strings.TrimSpace(string(out)), err
}

func readMutants(root string) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(root, patchesDir, "*.patch"))
	if err != nil {
		return nil, err
	}
	var all []mutant
	for _, file := range files {
		m, err := readMutant(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, m)
	}
	return all, nil
}

func readMutant(file string) (mutant, error) {
	f, err := os.Open(file)
	if err != nil {
		return mutant{}, err
	}
	defer f.Close()
	m := mutant{file: file}
	lines := bufio.NewScanner(f)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "diff ") {
		if test, ok := strings.CutPrefix(lines.Text(), "Test: "); ok {
			pkg, pattern, _ := strings.Cut(test, " ")
			m.tests = append(m.tests, [2]string{pkg, pattern})
		} else if m.what == "" {
			m.what = lines.Text()
		}
	}
	if m.what == "" || len(m.tests) == 0 {
		return m, errors.New("it says neither what it is nor which test catches it")
	}
	return m, lines.Err()
}

// try applies one bug to the copy, and takes it back. It returns the name of the first test that failed; "" when none did.
func try(scratch string, m mutant) (by string, err error) {
	if err := run(scratch, "git", "apply", m.file); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, run(scratch, "git", "apply", "-R", m.file)) }()
	for _, test := range m.tests {
		cmd := exec.Command("go", "test", "-count=1", "-failfast", "-timeout=5m", "-run", test[1], test[0])
		cmd.Dir = scratch
		out, err := cmd.CombinedOutput()
		if bytes.Contains(out, []byte("[build failed]")) || bytes.Contains(out, []byte("[setup failed]")) {
			return "", fmt.Errorf("it does not compile: %s", out)
		}
		if err != nil {
			return failed(out, test), nil
		}
	}
	return "", nil
}

var failLine = regexp.MustCompile(`(?m)^ *--- FAIL: (\S+)`)

// failed names the innermost test that failed, or how the tests ended.
func failed(out []byte, test [2]string) string {
	if all := failLine.FindAllSubmatch(out, -1); len(all) > 0 {
		return test[0] + " " + string(all[min(1, len(all)-1)][1])
	}
	return test[0] + " " + test[1] + " (it ends with a panic or hangs)"
}

// copyTree copies what git knows of, as it is in the work tree.
func copyTree(root, to string) error {
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("list files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		b, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		at := filepath.Join(to, name)
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, b, 0o644)); err != nil {
			return err
		}
	}
	return nil
}

func run(dir string, args ...string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}
