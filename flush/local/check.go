package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/blevesearch/bleve/v2/util"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const (
	rootFile = "root.bolt"
	// lockWait bounds how long opening waits for another process that holds a part open; the lock of
	// the data directory normally keeps others out.
	lockWait = 2 * time.Second
)

// guarded runs f and returns a panic, also one from reading a mapped file that is shorter than it was,
// as an error. Index files are mapped into memory and read without checks by the library.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: panic: %v", ErrDamaged, r)
		}
	}()
	return f()
}

// damageOr marks err as damage unless the machine, and not the file, stands behind it: those errors pass
// by themselves or by an operator's hand, and the part is whole.
func damageOr(err error) error {
	for _, passing := range []error{
		berrors.ErrTimeout, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EACCES, syscall.EPERM,
		syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EAGAIN, syscall.EINTR,
	} {
		if errors.Is(err, passing) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// checkPart verifies the index in dir before the library sees it: the newest snapshot must be readable
// and its files whole. The library itself would fall back to an older snapshot, or to an empty one, and
// delete the files that this one does not name. It returns the names of the snapshot's files.
func checkPart(dir string) (files map[string]struct{}, err error) {
	err = guarded(func() error {
		files, err = snapshotFiles(filepath.Join(dir, rootFile))
		return err
	})
	if err != nil {
		return nil, err
	}
	for name := range files {
		if err := checkFile(filepath.Join(dir, name)); err != nil {
			return nil, fmt.Errorf("%s: %w", name, damageOr(err))
		}
	}
	return files, nil
}

func snapshotFiles(root string) (map[string]struct{}, error) {
	if _, err := os.Stat(root); err != nil {
		return nil, damageOr(err)
	}
	db, err := bolt.Open(root, 0o600, &bolt.Options{ReadOnly: true, Timeout: lockWait})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rootFile, damageOr(err))
	}
	defer db.Close()
	files := make(map[string]struct{})
	err = db.View(func(tx *bolt.Tx) error {
		snapshots := tx.Bucket(util.BoltSnapshotsBucket)
		if snapshots == nil {
			return nil // nothing was ever stored
		}
		epoch, _ := snapshots.Cursor().Last()
		if epoch == nil {
			return nil
		}
		snapshot := snapshots.Bucket(epoch)
		if snapshot == nil {
			return fmt.Errorf("%w: newest snapshot is not there", ErrDamaged)
		}
		return snapshot.ForEachBucket(func(k []byte) error {
			if k[0] == util.BoltMetaDataKey[0] || k[0] == util.BoltInternalKey[0] {
				return nil
			}
			name := string(snapshot.Bucket(k).Get(util.BoltPathKey))
			if name == "" || name != filepath.Base(name) {
				return fmt.Errorf("%w: newest snapshot names no file", ErrDamaged)
			}
			files[name] = struct{}{}
			return nil
		})
	})
	return files, err
}

// checkFile compares a segment with the checksum at its end (CRC-32, IEEE, big endian).
func checkFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	const tail = 4
	if info.Size() <= tail {
		return errors.New("file is empty")
	}
	sum := crc32.NewIEEE()
	if _, err := io.CopyN(sum, f, info.Size()-tail); err != nil {
		return err
	}
	var want [tail]byte
	if _, err := io.ReadFull(f, want[:]); err != nil {
		return err
	}
	if sum.Sum32() != binary.BigEndian.Uint32(want[:]) {
		return errors.New("checksum is wrong")
	}
	return nil
}
