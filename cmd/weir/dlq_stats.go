package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/weirlog/weir/flush/deadletter"
)

func newDLQStatsCmd(a *app) *cobra.Command {
	var filter letterFilter
	var output outputFormat
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Group dead letters by what is wrong with them, and propose what to do",
		Long: `Groups dead letters by stage, status, type, index, stream, field and reason, where what
differs from letter to letter is left out of the reason. Each group names the key of
one of its letters, and where Lua helps, lines that make letters like it deliverable:
they rename, stringify, cut or drop the field, or send the document to another index.
Try them with weir dlq replay --field FIELD --lua 'LINES' --dry-run, or put them into
the stream's script. -o json has all of it, further proposals among them.`,
		Example: "  weir dlq stats\n  weir dlq stats --stage index -o json",
		Args:    cobra.NoArgs,
	}
	filter.addFlags(cmd)
	output.addFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		params, err := filter.values(a)
		if err != nil {
			return err
		}
		client, err := a.openAdmin(cmd, offlineNeeds{letters: true})
		if err != nil {
			return err
		}
		var groups []deadletter.Group
		err = client.get(cmd.Context(), lettersPath+"/stats", params, &groups)
		if err == nil {
			err = a.printGroups(groups, output)
		}
		if err == nil {
			err = a.printRetention(cmd.Context(), client)
		}
		return closing(client, err)
	}
	return cmd
}

// printRetention says on standard error what the store drops by itself, and how near its limit is.
func (a *app) printRetention(ctx context.Context, client *adminClient) error {
	var st statusReport
	if err := client.get(ctx, "/api/v1/status", nil, &st); err != nil {
		return err
	}
	for _, n := range lettersNotes(st.DeadLetters) {
		fmt.Fprintln(a.stderr, printable(n))
	}
	return nil
}

// printGroups prints a row for each group, and below it what does not fit into a row.
func (a *app) printGroups(groups []deadletter.Group, output outputFormat) error {
	if output != outputTable {
		return writeList(a.stdout, output, groups)
	}
	if len(groups) == 0 {
		_, err := fmt.Fprintln(a.stdout, "no dead letters")
		return err
	}
	width := a.width(a.stdout)
	table := newTable(">letters", "since", "stage", ">status", "type", "field")
	for _, g := range groups {
		table.add(humanCount(g.Count), since(a.now(), g.First), string(g.Stage), orDash(g.Status), g.Type, g.Field)
	}
	var rows bytes.Buffer
	if err := table.render(&rows, width); err != nil {
		return err
	}
	next := strings.Lines(rows.String())
	i := -1 // the header
	for row := range next {
		if _, err := io.WriteString(a.stdout, row); err != nil {
			return err
		}
		if i++; i > 0 {
			if err := a.printGroup(&groups[i-1], width); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *app) printGroup(g *deadletter.Group, width int) error {
	var b strings.Builder
	line := func(name, detail string) {
		if detail != "" {
			b.WriteString(indented(name, printable(detail), width))
		}
	}
	line("reason", g.Reason)
	where := "stream " + g.Stream
	if g.Index != "" {
		where += ", index " + g.Index
	}
	if g.Wanted != "" {
		where += ", where the field is of type " + g.Wanted
	}
	line("in", where)
	line("example", fmt.Sprintf("%s, the last %s, %s in all", g.Example, ago(a.now(), g.Last), humanBytes(g.Bytes)))
	line("advice", g.Advice)
	if len(g.Remedies) > 0 {
		line("remedy", g.Remedies[0].Does+":")
		for lua := range strings.SplitSeq(g.Remedies[0].Lua, "\n") {
			fmt.Fprintf(&b, "%s%s\n", strings.Repeat(" ", detailIndent), printable(lua)) // never wrapped: it is copied
		}
	}
	_, err := io.WriteString(a.stdout, b.String())
	return err
}

// detailIndent is where the text of a detail begins.
const detailIndent = 11

// indented writes a name and a text, wrapped between words to the width; 0 for no terminal, and then on one line.
func indented(name, detail string, width int) string {
	lines := []string{strings.Join(strings.Fields(detail), " ")}
	if room := width - detailIndent; room > 0 {
		lines = strings.Split(text.WrapSoft(lines[0], room), "\n")
	}
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ") // the library fills lines up
	}
	detail = strings.Join(lines, "\n"+strings.Repeat(" ", detailIndent))
	return fmt.Sprintf("  %-*s%s\n", detailIndent-2, name, detail)
}

// since writes when something began, for people: the time of today, the day of the last week, else the date.
func since(now, t time.Time) string {
	t = t.In(now.Location())
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch {
	case t.IsZero():
		return "-"
	case !t.Before(today) && t.Before(today.AddDate(0, 0, 1)):
		return "today " + t.Format("15:04")
	case t.Before(today) && !t.Before(today.AddDate(0, 0, -6)):
		return t.Format("Monday 15:04")
	}
	return t.Format("2006-01-02 15:04")
}
