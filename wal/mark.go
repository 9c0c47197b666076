package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The durable mark is a small file beside the segments that names the highest offset known to be durable. Each commit
// writes it over after its fsync and before its answer, and nobody ever fsyncs it: that costs a microsecond. A kill
// leaves it exact, so that damage at the end of the log is told from a torn tail; a power cut leaves an older one or
// none, and then the frames alone say how far the log was durable. It is never ahead (W8).
//
//	 0  4  magic    fe 57 4d fd
//	 4  1  version  1
//	 5  3  reserved 0
//	 8  8  offset   highest durable one
//	16  4  crc32c   of bytes 0 to 15
const (
	markName    = "DURABLE"
	markBytes   = 20
	markVersion = 1
)

var markMagic = [4]byte{0xfe, 0x57, 0x4d, 0xfd}

func putMark(dst *[markBytes]byte, durable Offset) {
	*dst = [markBytes]byte{}
	copy(dst[:], markMagic[:])
	dst[4] = markVersion
	binary.LittleEndian.PutUint64(dst[8:], uint64(durable))
	sealMark(dst)
}

func sealMark(b *[markBytes]byte) {
	binary.LittleEndian.PutUint32(b[16:], crc32.Checksum(b[:16], castagnoli))
}

// decodeMark is the inverse of putMark. Magic, version and checksum keep their places in every later version.
func decodeMark(b []byte) (Offset, error) {
	switch {
	case len(b) < markBytes:
		return 0, errShort
	case [4]byte(b[:4]) != markMagic:
		return 0, errMagic
	case binary.LittleEndian.Uint32(b[16:]) != crc32.Checksum(b[:16], castagnoli):
		return 0, errChecksum
	case b[4] > markVersion:
		return 0, fmt.Errorf("durable mark format version %d: %w", b[4], ErrNewerFormat)
	}
	return Offset(binary.LittleEndian.Uint64(b[8:])), nil
}

// readMark returns the offset that the mark in dir names. damaged says why there is none: nil for a log that never had
// one, or whose mark a power cut took. Not being able to look says nothing about it and is an error, and so is a newer format.
func readMark(dir string) (durable Offset, damaged, err error) {
	b, err := os.ReadFile(filepath.Join(dir, markName))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil, nil
	}
	if err == nil && len(bytes.Trim(b, "\x00")) == 0 {
		return 0, nil, nil // a power cut leaves the name, or the size, before the bytes
	}
	if err == nil {
		durable, err = decodeMark(b)
	}
	var pathErr *os.PathError
	if errors.Is(err, ErrNewerFormat) || errors.As(err, &pathErr) && !errors.Is(err, unix.EIO) && !errors.Is(err, unix.EISDIR) {
		return 0, nil, fmt.Errorf("read %s: %w", markName, err)
	}
	return durable, err, nil
}

// mark writes the durable mark of a log. What fails is said once: without the mark the log is as safe as the frames
// alone make it. Committer only.
type mark struct {
	f      *os.File
	logger *slog.Logger
	failed bool
}

// openMark opens the mark in dir, or makes it. It names what it named before until set is called.
func openMark(dir string, logger *slog.Logger) *mark {
	m := &mark{logger: logger}
	f, err := os.OpenFile(filepath.Join(dir, markName), os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		m.fail(err)
		return m
	}
	m.f = f
	return m
}

// keepDamagedMark keeps the bytes of a mark that cannot be read, and returns the name that they got.
func keepDamagedMark(dir, repairDir string) (kept string, err error) {
	b, err := os.ReadFile(filepath.Join(dir, markName))
	if err != nil {
		return "", fmt.Errorf("read damaged mark: %w", err)
	}
	return keepBytes(repairDir, markName+".damaged", b)
}

// set names the highest durable offset.
func (m *mark) set(durable Offset) {
	if m.f == nil {
		return
	}
	var b [markBytes]byte
	putMark(&b, durable)
	if _, err := m.f.WriteAt(b[:], 0); err != nil {
		m.fail(err)
	} else {
		m.failed = false
	}
}

func (m *mark) fail(err error) {
	if !m.failed {
		m.logger.Warn("the durable mark cannot be written; damage at the end of the log may look like a torn tail after a kill", "error", err)
	}
	m.failed = true
}

func (m *mark) close() error {
	if m.f == nil {
		return nil
	}
	f := m.f
	m.f = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("close durable mark: %w", err)
	}
	return nil
}
