package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/weirlog/weir/bench/report"
)

// reportFile is the name of the report for programs in the directory of --report.
const reportFile = "report.json"

func newCompareCommand() *cobra.Command {
	var markdown string
	cmd := &cobra.Command{
		Use:   "compare OLD NEW",
		Short: "Say what changed from one report to another",
		Long: `Prints the medians of every figure that both reports have, and how far they lie apart. What
changed beyond the noise comes first and is marked as better or worse.

` + report.Rule + `
That needs five rounds in each report. The exit code is 0 whatever changed.

OLD and NEW are files of --json or directories of --report.`,
		Example: `  go run ./bench compare old.json new.json
  go run ./bench compare old/ new/ --markdown changes.md`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return compareReports(cmd.OutOrStdout(), args[0], args[1], markdown)
		},
	}
	cmd.Flags().StringVar(&markdown, "markdown", "", "write the comparison as Markdown to `FILE`, too")
	return cmd
}

// compareReports prints what changed, and writes it to a file when one is named.
func compareReports(out io.Writer, older, newer, markdown string) error {
	a, err1 := readReport(older)
	b, err2 := readReport(newer)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	found, err := report.Compare(a, b)
	if err != nil {
		return fmt.Errorf("compare %s with %s: %w", older, newer, err)
	}
	err = found.Table(out)
	if markdown != "" {
		err = errors.Join(err, writeFile(markdown, found.Markdown))
	}
	return err
}

// readReport reads a report from its file, or from the directory in which it lies.
func readReport(path string) (*report.Report, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, reportFile)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read report: %w; give a file of --json or a directory of --report", err)
	}
	defer f.Close() // it was only read
	r, err := report.Read(f)
	if err != nil {
		return nil, fmt.Errorf("read report %s: %w", path, err)
	}
	return r, nil
}
