package main

import (
	"bytes"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/wal"
)

// TestCheck_Data looks at directories of every kind. A check changes nothing, which TestDamage_EveryCommand sees to.
func TestCheck_Data(t *testing.T) {
	whole := stoppedDirectory(t)
	for name, row := range map[string]struct {
		do   func(t *testing.T, d dataLayout)
		code int
		want []string // begin and a part
	}{
		"sound": {func(*testing.T, dataLayout) {}, exitDone, []string{"warning data directory", "this data directory was last used at " + whole}},
		"damage in the last segment": {
			func(t *testing.T, d dataLayout) {
				changeFile(t, firstSegment(t, d.wal), func(b []byte) []byte { return flipAt(bytes.Index(b, []byte("number 1")))(b) })
			}, exitDone, []string{"warning data directory", "wal is damaged in 1 place, 1 record lost"},
		},
		"damaged dead letters": {
			func(t *testing.T, d dataLayout) { changeFile(t, firstSegment(t, d.dead), flipAt(300)) },
			exitDone, []string{"warning data directory", "dead is damaged in 1 place"},
		},
		"a lost end": {
			func(t *testing.T, d dataLayout) {
				changeFile(t, firstSegment(t, d.wal), func(b []byte) []byte { return b[:len(b)-80] })
			}, exitDone, []string{"warning data directory", "wal lost its end: it is known to have reached offset 3; all of that is settled"},
		},
		"a damaged weir.db": {
			func(t *testing.T, d dataLayout) {
				changeFile(t, d.db, func(b []byte) []byte { return make([]byte, len(b)) })
			},
			exitDone, []string{"warning data directory", "checkpoint database is damaged"},
		},
		"no weir.db": {
			func(t *testing.T, d dataLayout) { removeAll(t, d.db) },
			exitDone, []string{"warning data directory", "checkpoint database is missing"},
		},
		"other files": {
			func(t *testing.T, d dataLayout) {
				removeAll(t, d.root)
				if err := os.Mkdir(d.root, 0o750); err != nil {
					t.Fatal(err)
				}
				writeFile(t, d.root, "passwd", "")
			}, exitFailed, []string{"failed data directory", "holds other files (passwd ...)"},
		},
		"empty": {
			func(t *testing.T, d dataLayout) {
				removeAll(t, d.root)
				if err := os.Mkdir(d.root, 0o750); err != nil {
					t.Fatal(err)
				}
			}, exitDone, []string{"ok data directory", "there is no data in it yet"},
		},
		"a newer format": {
			func(t *testing.T, d dataLayout) { writeNewerFrame(t, d.wal) },
			exitFailed, []string{"failed data directory", "written by a newer version of weir"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyDirectory(t, whole)
			row.do(t, layoutOf(dir))
			code, lines := findings(t, newTestApp(t, "WEIR_WAL_MIN_FREE_BYTES=0"), "--data-dir", dir)
			if code != row.code {
				t.Errorf("exit code %d, want %d", code, row.code)
			}
			wantFinding(t, lines, row.want[0], row.want[1])
		})
	}
	t.Run("sound, at home", func(t *testing.T) {
		_, lines := findings(t, newTestApp(t), "--data-dir", whole)
		wantFinding(t, lines, "ok data directory", "no damage in weir.db and in the last segments of the logs")
	})
}

// writeNewerFrame replaces a log by one frame of version 2, whose checksum is right.
func writeNewerFrame(t *testing.T, dir string) {
	t.Helper()
	const frame = "3cfe5746fd02030000000000000000000001000000000000000100000000000000000000000000000007000000000000000900000000000000fcd1846c"
	b, err := hex.DecodeString(frame)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "00000000000000000001"), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCheck_StreamThatLeftTooEarly is said before the restart that would fail of it, beside the running service and of the
// stopped directory.
func TestCheck_StreamThatLeftTooEarly(t *testing.T) {
	away := []string{"WEIR_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:1", "WEIR_SHUTDOWN_TIMEOUT=10ms", "WEIR_WAL_MIN_FREE_BYTES=0"}
	dir := filepath.Join(t.TempDir(), "data")
	two := writeConfig(t, "streams: {shop: {}, audit: {}}\n")
	s := startServiceWith(t, slog.New(slog.DiscardHandler), two, dir, away...)
	shop := wal.Origin{Stream: "shop", ReceivedAt: time.Now()}
	s.appendEvent(`{"of":"default"}`)
	offset, err := s.service.log.Append(t.Context(), shop, []wal.Event{{Payload: []byte(`{"of":"shop"}`)}})
	if err != nil || offset != 2 {
		t.Fatal(offset, err)
	}
	check := func(when string) {
		t.Helper()
		code, lines := findings(t, newTestApp(t, serviceEnviron(dir, away...)...), "--offline")
		if code != exitFailed {
			t.Errorf("%s: exit code %d", when, code)
		}
		wantFinding(t, lines, "failed streams", `stream "shop" left the configuration, but offset 2 in the log is an event of it`)
		for _, line := range lines {
			if strings.Contains(line, "audit") {
				t.Errorf("%s: of a stream that is drained: %s", when, line)
			}
		}
	}
	check("running")
	s.end()
	check("stopped")
	if code, lines := findings(t, newTestApp(t, serviceEnviron(dir, away...)...), "--offline", "--config", two); code != exitDone {
		t.Errorf("with all streams: %s", strings.Join(lines, "\n"))
	}
}
