package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/weirlog/weir/flush/checkpoint"
	"github.com/weirlog/weir/wal"
)

func newWALRepairCmd(a *app) *cobra.Command {
	var output outputFormat
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Do to a stopped log what the next start would do",
		Long: `Says what the next start of the service would set aside of a stopped log, and does it:
groups of records at the end that never became whole, and so were never acknowledged,
go to repair/ with all their bytes. Nothing is deleted. --dry-run only says it.

Damage anywhere else is not touched: the service delivers the records around it and
makes dead letters of stage log of what cannot be read. This command lists it.

The service does all this by itself when it starts; this is for looking first.`,
		Example: "  weir wal repair --dry-run\n  weir wal repair --data-dir /restored/data",
		Args:    cobra.NoArgs,
	}
	withDataDir(cmd)
	output.addFlag(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be done")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := a.loadConfig(cmd)
		if err != nil {
			return err
		}
		if holder, held, _ := wal.LockHolder(cfg.DataDir); held {
			return fmt.Errorf("process %d uses %s: a running log needs no repair, and the service repairs by itself when it starts; weir wal verify looks for damage", holder.PID, cfg.DataDir)
		}
		if err := looksLikeDataDir(cfg.DataDir); err != nil {
			return err
		}
		return a.repairWAL(cmd.Context(), cfg, dryRun, output)
	}
	return cmd
}

// repairReport says what a repair found and did.
type repairReport struct {
	Clean     bool         `json:"clean"`      // the log was closed in order
	TornBytes int64        `json:"torn_bytes"` // of groups that never became whole
	Records   uint64       `json:"records"`    // sound
	Damage    []damageView `json:"damage"`     // stays where it is
	Done      bool         `json:"done"`       // false in a dry run
}

func (a *app) repairWAL(ctx context.Context, cfg *Config, dryRun bool, output outputFormat) (err error) {
	dir := layoutOf(cfg.DataDir)
	lock, err := wal.LockDir(cfg.DataDir)
	if err != nil {
		return explainDataDir(cfg.DataDir, err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	fmt.Fprintf(a.stderr, "no service runs; opened %s\n", printable(cfg.DataDir))
	rep, err := a.inspectWAL(ctx, dir.wal)
	if err != nil {
		return explainDataDir(cfg.DataDir, err)
	}
	if !dryRun {
		if err := openOnce(ctx, cfg, dir, slog.New(slog.NewTextHandler(a.stderr, nil))); err != nil {
			return explainDataDir(cfg.DataDir, err)
		}
		rep.Done = true
	}
	return a.printRepair(rep, output)
}

func (a *app) inspectWAL(ctx context.Context, dir string) (*repairReport, error) {
	snapshot, err := openSnapshot(dir)
	if err != nil {
		return nil, err
	}
	rep := &repairReport{Damage: []damageView{}}
	rep.Clean, rep.TornBytes = snapshot.Clean()
	bar := a.newProgress(snapshot.Status().Bytes, true, "verify")
	defer bar.finish()
	var seen int64
	verified, err := snapshot.Verify(ctx, func(bytes int64) {
		bar.add(bytes - seen)
		seen = bytes
	})
	if err != nil {
		return nil, err
	}
	rep.Records = verified.Records
	for _, d := range verified.Damage {
		rep.Damage = append(rep.Damage, *newDamageView(d))
	}
	return rep, nil
}

// openOnce opens the log as the service does, and closes it in order.
func openOnce(ctx context.Context, cfg *Config, dir dataLayout, logger *slog.Logger) error {
	db, err := checkpoint.Open(dir.db, checkpoint.Options{Logger: logger})
	if err != nil {
		return err
	}
	end := db.KnownEnd()
	if err := db.Close(); err != nil {
		return err
	}
	log, err := wal.Open(dir.wal, wal.Options{
		SegmentBytes: int64(cfg.WAL.SegmentBytes), RepairDir: dir.repair, KnownEnd: end, Logger: logger,
	})
	if err != nil {
		return err
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	return log.Run(stopped)
}

func (a *app) printRepair(rep *repairReport, output outputFormat) error {
	if output != outputTable {
		return output.write(a.stdout, rep)
	}
	out := a.stdout
	fmt.Fprintf(out, "closed: %s\n%s records are sound\n", closedText(rep.Clean, rep.TornBytes), humanCount(rep.Records))
	if len(rep.Damage) > 0 {
		fmt.Fprintf(out, "\ndamaged; these records become dead letters of stage log when the service comes to them:\n")
		if err := a.printDamage(rep.Damage); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	var err error
	switch {
	case rep.Done && rep.TornBytes > 0:
		_, err = fmt.Fprintf(out, "repaired: %s were set aside in repair/\n", humanBytes(rep.TornBytes))
	case rep.Done:
		_, err = fmt.Fprintln(out, "nothing had to be set aside")
	case rep.TornBytes > 0:
		_, err = fmt.Fprintf(out, "a repair would set %s aside in repair/; nothing was changed\n", humanBytes(rep.TornBytes))
	default:
		_, err = fmt.Fprintln(out, "a repair would set nothing aside; nothing was changed")
	}
	return err
}
