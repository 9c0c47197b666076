package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirlog/weir/lua"
)

// ruleSyntax is the rule of a script that does not compile; lua.Lint returns that as an error.
const ruleSyntax = "syntax"

func newLuaLintCmd(a *app) *cobra.Command {
	var output outputFormat
	cmd := &cobra.Command{
		Use:   "lint SCRIPT...",
		Short: "Find mistakes in scripts that compile",
		Long: `Reads scripts and says what is most probably a mistake, without running anything. The
rules:

` + lintRulesHelp() + `
A comment "-- lint: ignore RULE" behind a line, or on a line of its own above it, keeps
its findings back. docs/lua.md explains the rules. No configuration is needed.

Exit code 1 when anything is found, or a script does not compile (rule ` + ruleSyntax + `).`,
		Example: "  weir lua lint transform.lua\n  weir lua lint -o ndjson scripts/*.lua",
		Args:    cobra.MinimumNArgs(1),
	}
	output.addFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		var found []lua.Finding
		var unread []error // what cannot be read keeps nothing back that others have
		for _, path := range args {
			list, err := lintScript(path)
			if err != nil {
				unread = append(unread, err)
			}
			found = append(found, list...)
		}
		var err error
		if read := len(args) - len(unread); read > 0 {
			err = a.printLint(found, read, output)
		}
		if len(unread) > 0 {
			return errors.Join(unread...)
		}
		return err
	}
	return cmd
}

func lintRulesHelp() string {
	var b strings.Builder
	for _, r := range append(lua.LintRules(), lua.LintRule{Name: ruleSyntax, Says: "a script that does not compile"}) {
		fmt.Fprintf(&b, "  %-12s %s\n", r.Name, r.Says)
	}
	return b.String()
}

// lintScript is lua.LintFile with a finding for what does not compile.
func lintScript(path string) ([]lua.Finding, error) {
	found, err := lua.LintFile(path)
	if syntax, ok := errors.AsType[*lua.SyntaxError](err); ok {
		return []lua.Finding{{File: path, Line: syntax.Line, Rule: ruleSyntax, Message: syntax.Message}}, nil
	}
	return found, err
}

func (a *app) printLint(found []lua.Finding, scripts int, output outputFormat) error {
	if output != outputTable {
		if err := writeList(a.stdout, output, found); err != nil {
			return err
		}
	} else {
		for _, f := range found {
			colour := colourYellow
			if f.Rule == ruleSyntax {
				colour = colourRed
			}
			fmt.Fprintf(a.stdout, "%s: %s (%s)\n", printable(findingPlace(f)), printable(f.Message), a.paint(a.stdout, colour, f.Rule))
		}
	}
	in := counted(scripts, "script", "scripts")
	if len(found) == 0 {
		fmt.Fprintf(a.stderr, "nothing found in %s\n", in)
		return nil
	}
	fmt.Fprintf(a.stderr, "%s in %s\n", counted(len(found), "finding", "findings"), in)
	return errReported
}

// findingPlace is where a finding is; the end of a file that breaks off has no line.
func findingPlace(f lua.Finding) string {
	if f.Line == 0 {
		return f.File + ": at the end"
	}
	return fmt.Sprintf("%s:%d", f.File, f.Line)
}
