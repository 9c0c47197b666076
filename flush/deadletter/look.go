package deadletter

import (
	"context"
	"errors"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/weirlog/weir/flush/checkpoint"
	"github.com/weirlog/weir/wal"
)

// IndexView is what the index of a store says, for commands that read a data directory and change nothing in it.
type IndexView struct {
	Status
	// Needed is the oldest record of the log that is still needed, Applied the newest that the index knows: the log must hold
	// all from one to the other. Applied is 0 when there is no index.
	Needed, Applied wal.Offset
	// Fault says why there is no index that can be used; nil when there is one, and when there never was.
	Fault error
}

// LookAtIndex reads the index of a store, and proves all of it. An index that is damaged is made anew at the next start.
func LookAtIndex(db *checkpoint.DB, name string) (IndexView, error) {
	v := IndexView{Status: Status{Name: name, Records: (&indexState{}).records()}}
	err := db.View(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucketName(name)) == nil {
			return nil // never opened
		}
		x, err := openIndex(tx, bucketName(name))
		if err != nil {
			return err
		}
		if x.state, err = decodeIndexState(x.root.Get(stateKey)); err != nil {
			return err
		}
		if err := x.verify(); err != nil {
			return err
		}
		v.Records, v.Bytes = x.state.records(), x.state.bytes
		v.Needed, v.Applied = x.oldestNeeded(), x.state.applied
		e, ok, err := x.first()
		if ok {
			v.Oldest = e.FirstAt
		}
		return err
	})
	if errors.Is(err, errIndex) || errors.Is(err, checkpoint.ErrDamaged) {
		return IndexView{Status: v.Status, Fault: err}, nil
	}
	return v, err
}

// Verify reads and proves every frame and every record of the store's log, and the index, beside whatever the store does.
// indexFault says what is wrong with the index.
func (s *Store) Verify(ctx context.Context, progress func(bytes int64)) (rep wal.Report, indexFault, err error) {
	rep, err = s.log.Verify(ctx, progress)
	if err != nil {
		return rep, nil, err
	}
	first := s.log.FirstOffset() // what was reclaimed meanwhile is no damage
	rep.Damage = slices.DeleteFunc(rep.Damage, func(d *wal.CorruptionError) bool { return d.Length == 0 && d.Last < first })
	_, err = s.loadIndex()
	if errors.Is(err, errIndex) || errors.Is(err, checkpoint.ErrDamaged) {
		return rep, err, nil
	}
	return rep, nil, err
}
