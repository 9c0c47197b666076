package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/weirlog/weir/flush/checkpoint"
	"github.com/weirlog/weir/lua"
	"github.com/weirlog/weir/wal"
)

func newWALRepairCmd(a *app) *cobra.Command {
	var output outputFormat
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Do to a stopped data directory what the next start would do",
		Long: `Says what the next start of the service would mend of a stopped data directory, and does it:

  torn end      groups of records that never became whole, and so were never
                acknowledged, go to repair/ with all their bytes
  lost end      offsets go on behind the end that it is known to have had, under a new epoch
  weir.db       a damaged one is set aside and made anew, a missing one is made; what is
                in the log is then delivered again under the same ids
  its index     is made anew from the dead letters' own log

Nothing is deleted. --dry-run only says it, and changes not one byte.

Damage anywhere else is not touched: the service delivers the records around it and
makes dead letters of stage log of what cannot be read. This command lists it.

The service does all this by itself when it starts; this is for looking first. It does
not work beside a running service.`,
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
	Clean     bool         `json:"clean"`      // the main log was closed in order
	TornBytes int64        `json:"torn_bytes"` // of groups that never became whole, in all logs
	Records   uint64       `json:"records"`    // sound, in all logs
	Steps     []repairStep `json:"steps"`
	Damage    []damageView `json:"damage"` // stays where it is
	Done      bool         `json:"done"`   // false in a dry run
}

// repairStep is one thing that a repair does.
type repairStep struct {
	Part string `json:"part"`
	Text string `json:"text"` // what is done, in the imperative
}

func (a *app) repairWAL(ctx context.Context, cfg *Config, dryRun bool, output outputFormat) error {
	rep, err := a.inspectData(ctx, cfg)
	if err != nil {
		return err
	}
	if !dryRun {
		logger := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
		if err := openOnce(ctx, cfg, logger); err != nil {
			return explainDataDir(cfg.DataDir, err)
		}
		rep.Done = true
	}
	return a.printRepair(rep, output)
}

// inspectData finds out what there is to do, and changes nothing.
func (a *app) inspectData(ctx context.Context, cfg *Config) (rep *repairReport, err error) {
	v, err := viewData(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	fmt.Fprintf(a.stderr, "no service runs; opened %s\n", printable(cfg.DataDir))
	rep = &repairReport{Steps: []repairStep{}}
	rep.Clean, _ = v.log.Clean()
	add := func(part, format string, args ...any) {
		rep.Steps = append(rep.Steps, repairStep{part, fmt.Sprintf(format, args...)})
	}
	switch err := v.db.Fault(); {
	case errors.Is(err, checkpoint.ErrMissing):
		add(partDB, "make it, since it is missing; what is in the log is delivered again under the same ids")
	case err != nil:
		add(partDB, "set it aside as weir.db.damaged-TIME and make it anew; what is in the log is delivered again under the same ids")
	case v.letterIndex.Fault != nil || v.refusedIndex.Fault != nil:
		add(partDB, "make the index of dead letters anew from their log")
	}
	for _, l := range []struct {
		part     string
		snapshot *wal.Snapshot
	}{{partLog, v.log}, {partDead, v.dead}, {partRefused, v.refused}} {
		if lost := l.snapshot.LostEnd(); lost != nil {
			add(l.part, "go on behind offset %d under a new epoch: the log ends before it, and had that end", lost.Last)
		}
		if l.snapshot.MarkDamage() != nil {
			add(l.part, "keep the damaged durable mark in repair/ and make it anew")
		}
		if _, torn := l.snapshot.Clean(); torn > 0 {
			rep.TornBytes += torn
			add(l.part, "set %s aside in repair/: groups that never became whole", humanBytes(torn))
		}
	}
	bar := a.newProgress(v.log.Status().Bytes+v.dead.Status().Bytes+v.refused.Status().Bytes, true, "verify")
	defer bar.finish()
	var seen int64
	verified, err := proveAll(ctx, v.provers(), func(done, _ int64) {
		bar.add(done - seen)
		seen = done
	})
	if err != nil {
		return nil, err
	}
	rep.Records, rep.Damage = verified.Records, verified.Damage
	return rep, nil
}

// openOnce opens the logs as the service does, and closes them in order.
func openOnce(ctx context.Context, cfg *Config, logger *slog.Logger) (err error) {
	p := &parts{cfg: cfg, dir: layoutOf(cfg.DataDir), logger: logger, registry: prometheus.NewRegistry(), scripts: map[scriptKey]*lua.Transformer{}}
	defer func() { err = errors.Join(err, p.close()) }()
	if p.lock, err = wal.LockDir(cfg.DataDir); err != nil {
		return err
	}
	p.closers = append(p.closers, closerFunc(p.lock.Unlock))
	if p.db, err = checkpoint.Open(p.dir.db, checkpoint.Options{Logger: logger}); err != nil {
		return err
	}
	p.closers = append(p.closers, p.db)
	if err := p.openLetters(); err != nil {
		return err
	}
	p.closers = append(p.closers, runStores(ctx, p.letters, p.refused))
	log, err := wal.Open(p.dir.wal, wal.Options{
		SegmentBytes: int64(cfg.WAL.SegmentBytes), RepairDir: p.dir.repair, KnownEnd: p.db.KnownEnd(), Logger: logger,
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
	fmt.Fprintf(out, "sound: %s\n", plural(rep.Records, "record", "records"))
	if len(rep.Damage) > 0 {
		fmt.Fprintf(out, "\ndamaged; what is lost of events becomes dead letters of stage log when the service comes to it:\n")
		if err := a.printDamage(rep.Damage); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	switch {
	case len(rep.Steps) == 0 && rep.Done:
		fmt.Fprintln(out, "nothing had to be done")
	case len(rep.Steps) == 0:
		fmt.Fprintln(out, "a repair would do nothing")
	case rep.Done:
		fmt.Fprintln(out, "done:")
	default:
		fmt.Fprintln(out, "a repair would:")
	}
	for _, s := range rep.Steps {
		fmt.Fprintf(out, "  %-12s  %s\n", s.Part, s.Text)
	}
	if !rep.Done {
		_, err := fmt.Fprintln(out, "nothing was changed")
		return err
	}
	return nil
}
