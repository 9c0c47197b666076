package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

// outputFormat is the value of -o: a table for people, or JSON for scripts.
type outputFormat string

const (
	outputTable  outputFormat = "table"
	outputJSON   outputFormat = "json"
	outputNDJSON outputFormat = "ndjson"
)

// addFlag adds -o/--output to a command.
func (f *outputFormat) addFlag(cmd *cobra.Command) {
	*f = outputTable
	cmd.Flags().VarP(f, "output", "o", "output `FORMAT`: table, json or ndjson (one object a line)")
	// The function exists already only if a command adds the flag twice, which VarP would have refused.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(
		[]string{string(outputTable), string(outputJSON), string(outputNDJSON)}, cobra.ShellCompDirectiveNoFileComp))
}

// Set implements pflag.Value.
func (f *outputFormat) Set(s string) error {
	switch v := outputFormat(s); v {
	case outputTable, outputJSON, outputNDJSON:
		*f = v
		return nil
	}
	return fmt.Errorf("write table, json or ndjson")
}

// String implements pflag.Value.
func (f *outputFormat) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *outputFormat) Type() string { return "format" }

// write prints one value as JSON: over several lines, or on one as ndjson.
func (f outputFormat) write(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if f == outputJSON {
		enc.SetIndent("", "  ")
	}
	return enc.Encode(v)
}

// writeList prints rows as one JSON array, or each on its own line as ndjson.
func writeList[T any](w io.Writer, f outputFormat, rows []T) error {
	if f == outputJSON {
		if rows == nil {
			rows = []T{} // an empty list is [], not null
		}
		return f.write(w, rows)
	}
	for _, row := range rows {
		if err := f.write(w, row); err != nil {
			return err
		}
	}
	return nil
}

// printable makes any text fit for one line of a terminal. Log content is hostile: escape sequences,
// control characters, marks that reverse the reading direction and broken UTF-8 are shown, not obeyed.
func printable(s string) string { return escapeText(s, "") }

// printableLines is printable for our own messages of several lines: line breaks stay.
func printableLines(s string) string { return escapeText(s, "\n") }

func escapeText(s, keep string) string {
	clean := func(r rune, size int) bool {
		return (r != utf8.RuneError || size > 1) && (unicode.IsPrint(r) || strings.ContainsRune(keep, r))
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case clean(r, size):
			b.WriteString(s[i : i+size])
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		i += size
	}
	return b.String()
}

// humanBytes prints a size for people: 4.2 MiB.
func humanBytes(n int64) string {
	if n < 0 {
		return "-" + humanize.IBytes(uint64(-n))
	}
	return humanize.IBytes(uint64(n))
}

// humanCount prints 1234567 as 1,234,567.
func humanCount[T int | int64 | uint64](n T) string { return humanize.Comma(int64(n)) }

// humanDuration prints a span with as many digits as matter to people.
func humanDuration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + humanDuration(-d)
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < 48*time.Hour:
		return Duration(d.Round(time.Second)).String()
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

// ago prints how long before now t was; the zero time is "never".
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := now.Sub(t)
	if d < 0 {
		return "in " + humanDuration(-d)
	}
	return humanDuration(d.Truncate(time.Second)) + " ago"
}

const (
	colourGreen  = "\x1b[32m"
	colourRed    = "\x1b[31m"
	colourYellow = "\x1b[33m"
	colourDim    = "\x1b[2m"
	colourReset  = "\x1b[0m"
)

// paint colours text where w is a terminal and NO_COLOR is not set.
func (a *app) paint(w io.Writer, colour, text string) string {
	if !a.isTerminal(w) || a.getenv("NO_COLOR") != "" {
		return text
	}
	return colour + text + colourReset
}

// progress is a bar on standard error where that is a terminal, and nothing elsewhere. Not for
// concurrent use with other writers to standard error; its own methods may be called concurrently.
type progress struct {
	bar *progressbar.ProgressBar // nil without a terminal
}

// newProgress starts a bar. Total counts in the unit that add is given; below 1 it is unknown and a
// spinner shows. With asBytes the figures are sizes.
func (a *app) newProgress(total int64, asBytes bool, what string) *progress {
	if !a.isTerminal(a.stderr) {
		return &progress{}
	}
	if total < 1 {
		total = -1
	}
	options := []progressbar.Option{
		progressbar.OptionSetWriter(a.stderr),
		progressbar.OptionSetDescription(printable(what)),
		progressbar.OptionShowBytes(asBytes),
		progressbar.OptionUseIECUnits(true),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100 * time.Millisecond),
		progressbar.OptionFullWidth(),
		progressbar.OptionClearOnFinish(),
	}
	if !asBytes {
		options = append(options, progressbar.OptionShowIts())
	}
	return &progress{progressbar.NewOptions64(total, options...)}
}

// add moves the bar. A bar that cannot be drawn is no reason to fail.
func (p *progress) add(n int64) {
	if p.bar != nil {
		_ = p.bar.Add64(n)
	}
}

// describe changes the text before the bar.
func (p *progress) describe(what string) {
	if p.bar != nil {
		p.bar.Describe(printable(what))
	}
}

// finish removes the bar.
func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
