package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"
)

func newWALVerifyCmd(a *app) *cobra.Command {
	var output outputFormat
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read and prove every frame and every record",
		Long: `Proves every frame and every record of the log (wal), of the dead letters (dead) and of
the bodies that were refused whole (dead/refused), and the pages, the checkpoints and
the index in weir.db. Exit code 0 when all is sound, 1 when anything is damaged; the
table says in which part and segment, at which byte, and which offsets are lost.

What a crash left behind the last whole group of a stopped log is no damage: nobody was
told that it is safe, and the next start sets it aside.

Nothing is changed: the service itself makes dead letters of stage log of what is
damaged, when delivery comes to it. The embedded destination (store/) is not looked at;
it proves itself when it is opened.`,
		Example: "  weir wal verify\n  weir wal verify --data-dir /backup/data\n  weir wal verify -o json | jq .damage",
		Args:    cobra.NoArgs,
	}
	withDataDir(cmd)
	output.addFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := a.openAdmin(cmd, offlineNeeds{})
		if err != nil {
			return err
		}
		rep, err := a.verifyWAL(cmd.Context(), client)
		if err = closing(client, err); err != nil {
			return err
		}
		if err := a.printVerified(rep, output); err != nil {
			return err
		}
		if len(rep.Damage) > 0 {
			return errReported
		}
		return nil
	}
	return cmd
}

func (a *app) verifyWAL(ctx context.Context, client *adminClient) (*verifyReport, error) {
	var bar *progress
	var report *verifyReport
	var seen int64
	_, err := client.lines(ctx, http.MethodGet, walPath+"/verify", nil, nil, func(line []byte) error {
		var l verifyLine
		if err := json.Unmarshal(line, &l); err != nil {
			return fmt.Errorf("read the service's answer: %w", err)
		}
		if l.Report != nil {
			report = l.Report
			return nil
		}
		if bar == nil {
			bar = a.newProgress(l.Total, true, "verify")
		}
		bar.add(l.Bytes - seen)
		seen = l.Bytes
		return nil
	})
	if bar != nil {
		bar.finish()
	}
	if err == nil && report == nil {
		err = errors.New("the service's answer broke off")
	}
	return report, err
}

func (a *app) printVerified(rep *verifyReport, output outputFormat) error {
	if output != outputTable {
		return output.write(a.stdout, rep)
	}
	parts := newTable("=part", ">records", ">frames", ">size", "state")
	for i := range rep.Parts {
		p := &rep.Parts[i]
		records, frames := humanCount(p.Records), humanCount(p.Frames)
		if p.Part == partDB {
			records, frames = "", ""
		}
		parts.add(p.Part, records, frames, humanBytes(p.Bytes), partState(p))
	}
	if err := parts.render(a.stdout, a.width(a.stdout)); err != nil {
		return err
	}
	if len(rep.Damage) > 0 {
		fmt.Fprintln(a.stdout)
		if err := a.printDamage(rep.Damage); err != nil {
			return err
		}
	}
	sound := fmt.Sprintf("%s in %s, %s", plural(rep.Records, "record", "records"), plural(rep.Frames, "frame", "frames"), humanBytes(rep.Bytes))
	if len(rep.Damage) == 0 {
		_, err := fmt.Fprintf(a.stdout, "\n%s %s: all sound\n", a.paint(a.stdout, colourGreen, "ok"), sound)
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "\n%s %s cannot be read; %s: sound\n", a.paint(a.stdout, colourRed, "damaged"), plural(rep.Lost, "record", "records"), sound)
	return err
}

// plural is counted for numbers of records, which may be larger than an int.
func plural(n uint64, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanCount(n) + " " + more
}

func partState(p *partReport) string {
	state := "sound"
	if p.Damaged > 0 {
		state = "damaged in " + counted(p.Damaged, "place", "places")
	}
	if p.TornBytes > 0 {
		state += fmt.Sprintf("; torn end of %s, no damage: the next start sets it aside", humanBytes(p.TornBytes))
	}
	return state
}

func (a *app) printDamage(damage []damageView) error {
	table := newTable("=part", "segment", ">position", ">bytes", "offsets lost", "reason")
	for _, d := range damage {
		offsets := "none"
		if d.Last >= d.First {
			offsets = fmt.Sprintf("%d to %d", d.First, d.Last)
		}
		position, bytes := "", ""
		if d.Segment != "" {
			position, bytes = strconv.FormatInt(d.Position, 10), humanCount(d.Length)
		}
		table.add(d.Part, d.Segment, position, bytes, offsets, d.Reason)
	}
	return table.render(a.stdout, a.width(a.stdout))
}
