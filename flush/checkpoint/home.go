package checkpoint

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"

	"go.etcd.io/bbolt"
)

// Home is where a data directory was last used: on which machine, under which path, by which process. It is for people, who
// copy directories; nothing depends on it.
type Home struct {
	Host    string    `json:"host"`
	Machine string    `json:"machine,omitempty"` // a hash of the machine's id; a host can be renamed
	Path    string    `json:"path"`              // absolute
	PID     int       `json:"pid"`
	Version string    `json:"version,omitempty"`
	Started time.Time `json:"started"`
	Stopped time.Time `json:"stopped,omitzero"` // zero after a kill
}

var homeKey = []byte("home")

// homeVersion is on disk.
const homeVersion = 1

// encode returns the value stored under "home". Integers are big-endian.
//
//	 0         2        n-4       n
//	+---------+--------+---------+
//	| version | JSON   | CRC-32C |  of all bytes before it
//	+---------+--------+---------+
//
// It stands apart from "state", whose version an older weir refuses: what only people read is no reason to stay down. So
// a damaged value, and one of a later version, count as none.
func (h Home) encode() ([]byte, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode home: %w", err)
	}
	b = append(binary.BigEndian.AppendUint16(nil, homeVersion), b...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)), nil
}

// decodeHome is the inverse of encode. ok is false when there is none, or one of a later version.
func decodeHome(b []byte) (h Home, ok bool, err error) {
	if b == nil {
		return Home{}, false, nil
	}
	if len(b) < 6 || crc32.Checksum(b[:len(b)-4], castagnoli) != binary.BigEndian.Uint32(b[len(b)-4:]) {
		return Home{}, false, fmt.Errorf("%w: checksum", errHome)
	}
	if binary.BigEndian.Uint16(b) > homeVersion {
		return Home{}, false, nil
	}
	if err := json.Unmarshal(b[2:len(b)-4], &h); err != nil {
		return Home{}, false, fmt.Errorf("%w: %w", errHome, err)
	}
	return h, true, nil
}

// Home returns where the directory was last used, and whether that is known.
func (db *DB) Home() (h Home, ok bool) {
	_ = db.View(func(tx *bbolt.Tx) error { // not known then
		if b := tx.Bucket(stateBucket); b != nil {
			h, ok, _ = decodeHome(b.Get(homeKey)) // damage is what Verify reports
		}
		return nil
	})
	return h, ok
}

// SetHome stores where the directory is used now.
func (db *DB) SetHome(h Home) error {
	value, err := h.encode()
	if err != nil {
		return err
	}
	if err := db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(stateBucket).Put(homeKey, value) }); err != nil {
		return fmt.Errorf("store home: %w", err)
	}
	return nil
}
