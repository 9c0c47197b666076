package main

import (
	"os/exec"
	"testing"
)

// TestPatches_Apply keeps the bugs in step with the code: each still applies.
func TestPatches_Apply(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is missing")
	}
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	mutants, err := readMutants(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(mutants) == 0 {
		t.Fatal("there are no bugs to try")
	}
	for _, m := range mutants {
		if err := run(root, "git", "apply", "--check", m.file); err != nil {
			t.Error(err)
		}
	}
}
