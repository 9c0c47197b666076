package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/weirlog/weir/flush/checkpoint"
	"github.com/weirlog/weir/flush/deadletter"
	"github.com/weirlog/weir/wal"
)

// dataView is a data directory that no service holds, read as it lies. Nothing in it is changed, not even the text of LOCK;
// while it is held no service can start on it.
type dataView struct {
	dir   dataLayout
	share *wal.DirShare
	db    *checkpoint.DB // empty when its file is missing or damaged, see Fault

	log, dead, refused        *wal.Snapshot // empty where the directory is missing
	letterIndex, refusedIndex deadletter.IndexView
}

// viewData looks at a data directory. What is damaged or missing in it is no error; being unable to look is.
func viewData(dataDir string) (_ *dataView, err error) {
	v := &dataView{dir: layoutOf(dataDir)}
	defer func() {
		if err != nil {
			err = errors.Join(explainDataDir(dataDir, err), v.close())
		}
	}()
	if v.share, err = wal.ShareDir(dataDir); err != nil {
		return nil, err
	}
	if v.db, err = checkpoint.Look(v.dir.db); err != nil {
		return nil, err
	}
	if v.db.Fault() == nil {
		if v.letterIndex, err = deadletter.LookAtIndex(v.db, storeLetters); err != nil {
			return nil, err
		}
		if v.refusedIndex, err = deadletter.LookAtIndex(v.db, storeRefused); err != nil {
			return nil, err
		}
	}
	for _, l := range []struct {
		snapshot  **wal.Snapshot
		dir       string
		from, end wal.Offset
	}{
		{&v.log, v.dir.wal, oldestUnsettled(v.db), v.db.KnownEnd()},
		{&v.dead, v.dir.dead, v.letterIndex.Needed, v.letterIndex.Applied},
		{&v.refused, v.dir.refused, v.refusedIndex.Needed, v.refusedIndex.Applied},
	} {
		if *l.snapshot, err = openSnapshot(l.dir); err != nil {
			return nil, err
		}
		(*l.snapshot).Expect(l.from, l.end)
	}
	return v, nil
}

// oldestUnsettled returns the oldest offset that no stream has settled; 0 when nothing is known.
func oldestUnsettled(db *checkpoint.DB) wal.Offset {
	oldest := wal.Offset(0)
	for _, p := range db.Streams() {
		if oldest == 0 || p.Offset+1 < oldest {
			oldest = p.Offset + 1
		}
	}
	return oldest
}

// openSnapshot opens a log for reading. One whose directory is gone is looked at as an empty one.
func openSnapshot(dir string) (*wal.Snapshot, error) {
	log, err := wal.OpenSnapshot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return wal.NoSnapshot(dir), nil
	}
	return log, err
}

func (v *dataView) close() error {
	var errs []error
	if v.db != nil {
		errs = append(errs, v.db.Close())
	}
	if v.share != nil {
		errs = append(errs, v.share.Close())
	}
	return errors.Join(errs...)
}

// used reports whether any of the logs ever held a record.
func (v *dataView) used() bool {
	for _, s := range []*wal.Snapshot{v.log, v.dead, v.refused} {
		if s.Status().DurableOffset > 0 {
			return true
		}
	}
	return false
}

// databaseFault says why weir.db, or a part of it, cannot be used as it is; nil when all of it can.
func (v *dataView) databaseFault() error {
	err := v.db.Fault()
	switch {
	case errors.Is(err, checkpoint.ErrMissing) && !v.used():
		return nil // there was nothing to remember yet
	case err != nil:
		return err
	}
	if err := v.db.Verify(); err != nil {
		return err
	}
	return errors.Join(indexFault(storeLetters, v.letterIndex.Fault), indexFault(storeRefused, v.refusedIndex.Fault))
}

func indexFault(store string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("index of the store %s: %w", store, err)
}

// notes says what the next start will find.
func (v *dataView) notes() []string {
	var notes []string
	for _, l := range []struct {
		part     string
		snapshot *wal.Snapshot
	}{{partLog, v.log}, {partDead, v.dead}, {partRefused, v.refused}} {
		if lost := l.snapshot.LostBegin(); lost != nil {
			notes = append(notes, fmt.Sprintf("%s lost its beginning: offsets %d to %d are needed and not there; the next start makes a dead letter of them", l.part, lost.First, lost.Last))
		}
		if lost := l.snapshot.LostEnd(); lost != nil {
			notes = append(notes, l.part+" "+lostText(lost))
		}
		if _, torn := l.snapshot.Clean(); torn > 0 {
			notes = append(notes, fmt.Sprintf("%s was not closed in order: %s at its end were never whole, and the next start sets them aside; nothing is lost", l.part, humanBytes(torn)))
		}
	}
	if err := v.databaseFault(); err != nil {
		notes = append(notes, fmt.Sprintf("weir.db: %s: the next start makes it anew; what is in the log is delivered again under the same ids", err))
	}
	return notes
}

// lostText says what a log is without its end.
func lostText(lost *wal.CorruptionError) string {
	if lost.Last < lost.First {
		return fmt.Sprintf("lost its end: it is known to have reached offset %d; all of that is settled, and the next start goes on behind it", lost.Last)
	}
	return fmt.Sprintf("lost its end: offsets %d to %d were in it; the next start delivers what is left of them, makes a dead letter of the rest and goes on behind it", lost.First, lost.Last)
}
