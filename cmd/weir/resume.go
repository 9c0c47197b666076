package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/weirlog/weir/flush/checkpoint"
	"github.com/weirlog/weir/wal"
)

// settledOffsets returns up to where each stream is settled in this log. A stream without a checkpoint,
// or with one of a log that this one is not, begins at the oldest record. It stores what it decided, so
// that a stream is known from its first day on, settled or not.
func settledOffsets(streams []string, db *checkpoint.DB, log *wal.Log, logger *slog.Logger) (map[string]wal.Offset, error) {
	settled := map[string]wal.Offset{}
	oldest := log.FirstOffset() - 1
	for _, name := range streams {
		p, ok := db.Position(name)
		switch {
		case !ok:
			settled[name] = oldest
		case !log.HasEpoch(p.Epoch):
			// Where the log goes on behind the checkpoint, what lies between is missing, and is to be reported: that the log lost
			// its end may have been noticed by a start that came no further, or by a repair.
			settled[name] = min(oldest, p.Offset)
			if !log.LostEnd() { // else that was said
				logger.Warn("the checkpoint is of another log; delivery begins at the oldest record", "stream", name, "checkpoint", p.Offset, "checkpoint_epoch", p.Epoch, "from", settled[name]+1)
			}
		default:
			settled[name] = p.Offset
		}
	}
	if err := db.SetEpoch(log.Epoch()); err != nil {
		return nil, fmt.Errorf("store log epoch: %w", err)
	}
	if err := db.Reset(log.Epoch(), settled); err != nil {
		return nil, fmt.Errorf("store checkpoint: %w", err)
	}
	return settled, nil
}

// dropForgottenStreams forgets the checkpoints of streams that left the configuration, after it has made
// sure that nothing of them is unsettled. Otherwise the service does not start: their events would become
// dead letters, or worse.
func dropForgottenStreams(settled map[string]wal.Offset, db *checkpoint.DB, log *wal.Log, logger *slog.Logger) error {
	for name, p := range db.Streams() {
		if _, declared := settled[name]; declared {
			continue
		}
		if log.HasEpoch(p.Epoch) {
			offset, found, err := findStream(log, name, p.Offset+1, leastOf(settled))
			if err != nil {
				return err
			}
			if found {
				return errors.New(forgottenText(name, offset))
			}
		}
		logger.Info("stream left the configuration; nothing of it was unsettled", "stream", name)
		if err := db.Forget(name); err != nil {
			return fmt.Errorf("forget stream %s: %w", name, err)
		}
	}
	return nil
}

func leastOf(settled map[string]wal.Offset) wal.Offset {
	if len(settled) == 0 {
		return 0
	}
	return slices.Min(slices.Collect(maps.Values(settled)))
}

// findStream looks from an offset on for a record of a stream. Damage that every other stream has passed counts as one: that
// stream was the one to make its letter.
func findStream(log logView, stream string, from, passed wal.Offset) (wal.Offset, bool, error) {
	st := log.Status()
	r := log.NewReader(max(from, st.FirstOffset))
	defer r.Close()
	for r.Position() <= st.DurableOffset {
		rec, err := r.Next(context.Background())
		if err != nil {
			return 0, false, fmt.Errorf("look for records of stream %s: %w", stream, err)
		}
		damaged := rec.Flags&wal.FlagDamaged != 0
		if damaged && rec.Offset <= passed || !damaged && rec.Stream == stream {
			return rec.Offset, true, nil
		}
	}
	return 0, false, nil
}

// refuseForeignDir keeps weir from moving into a directory that holds somebody else's files: a slip of
// the pen such as /etc must not be filled with segments.
func refuseForeignDir(dir dataLayout) error {
	entries, err := os.ReadDir(dir.root)
	if err != nil || len(entries) == 0 {
		return nil // made, or explained, by whoever opens it
	}
	// Any name of ours will do: a power cut during the first start may leave only the later ones.
	for _, e := range entries {
		if slices.Contains([]string{"LOCK", "wal", "weir.db", "weir.db.new", "dead", "repair", "store"}, e.Name()) || strings.HasPrefix(e.Name(), "RESERVE") || e.Name() == "lost+found" && len(entries) == 1 {
			return nil
		}
	}
	return fmt.Errorf("data_dir %s holds other files (%s ...) and no data of weir: name an empty directory, or one that weir can make", dir.root, entries[0].Name())
}

// explainDataDir adds to an error about the data directory what the operator can do.
func explainDataDir(dir string, err error) error {
	switch {
	case errors.Is(err, wal.ErrLocked):
		return fmt.Errorf("%w; stop that process, or choose another data_dir", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: the data directory %s must be readable and writable for user %s", err, dir, currentUser())
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: the data directory %s is on a read-only file system; choose another data_dir", err, dir)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: no space is left for the data directory %s; free some, or choose another data_dir", err, dir)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: data_dir %s is not a directory", err, dir)
	case errors.Is(err, wal.ErrNewerFormat):
		return fmt.Errorf("%w: start the version of weir that wrote it, or a newer one", err)
	}
	return err
}

func currentUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(syscall.Getuid())
}
