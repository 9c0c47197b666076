package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weirlog/weir/flush/checkpoint"
)

// machineIDFiles hold what names an installation for its life. Tests put others here.
var machineIDFiles = []string{"/etc/machine-id", "/var/lib/dbus/machine-id"}

// currentHome says where a data directory is used now.
func currentHome(dataDir string, now time.Time) checkpoint.Home {
	h := checkpoint.Home{Machine: machineID(), Path: dataDir, PID: os.Getpid(), Version: currentVersion().Version, Started: now.UTC().Truncate(time.Second)}
	h.Host, _ = os.Hostname() // "" is as good as any
	if path, err := filepath.Abs(dataDir); err == nil {
		h.Path = path
	}
	return h
}

// machineID returns a hash of the machine's id, which should not be shown itself (machine-id(5)); "" where there is none,
// as in most containers.
func machineID() string {
	for _, path := range machineIDFiles {
		if b, err := os.ReadFile(path); err == nil && len(strings.TrimSpace(string(b))) > 0 {
			sum := sha256.Sum256([]byte("weir data directory " + strings.TrimSpace(string(b))))
			return hex.EncodeToString(sum[:8])
		}
	}
	return ""
}

// elsewhere says that a data directory was last used on another machine or under another path, and what that means; ""
// when it was used here.
func elsewhere(last, now checkpoint.Home) string {
	where := ""
	switch {
	case last.Machine != "" && now.Machine != "" && last.Machine != now.Machine, (last.Machine == "" || now.Machine == "") && last.Host != now.Host:
		where = fmt.Sprintf("by host %s at %s", orElse(last.Host, "(unknown)"), last.Path)
	case samePath(last.Path, now.Path):
		return ""
	default:
		where = "at " + last.Path
		if exists(layoutOf(last.Path).db) {
			where += ", which is still there"
		}
	}
	return fmt.Sprintf("this data directory was last used %s (%s); if a service still runs on its own copy of it, both deliver what they have in common, under the same ids, so that it is stored once; "+
		"new events get ids of a new epoch", where, lastUse(last))
}

// samePath compares paths, also where one of them leads over a link.
func samePath(a, b string) bool {
	if a == b {
		return true
	}
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// lastUse says who used a directory, and when.
func lastUse(h checkpoint.Home) string {
	if h.Stopped.IsZero() {
		return fmt.Sprintf("pid %d, started %s, not stopped in order", h.PID, h.Started.Format(time.RFC3339))
	}
	return fmt.Sprintf("pid %d, from %s to %s", h.PID, h.Started.Format(time.RFC3339), h.Stopped.Format(time.RFC3339))
}
