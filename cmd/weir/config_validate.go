package main

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/local"
)

const minSegmentBytes Bytes = 16 << 10

// Validate checks the values against their bounds and against each other. It returns a *ConfigError
// with every fault, or nil.
func (c *Config) Validate() error {
	faults := c.faults(nil)
	if len(faults) == 0 {
		return nil
	}
	sortFaults(faults)
	return &ConfigError{Faults: faults}
}

// faults is Validate for a configuration of which some keys are known to be bad already; those are
// not reported twice, and nothing is compared with them.
func (c *Config) faults(bad map[string]bool) []Fault {
	v := &validator{cfg: c, bad: bad}
	v.general()
	v.transform()
	v.ingest()
	v.wal()
	v.delivery()
	v.connection("elasticsearch.", &v.cfg.Elasticsearch)
	v.routing("elasticsearch.", &v.cfg.Elasticsearch)
	v.admin()
	v.streams()
	return v.found
}

type validator struct {
	cfg   *Config
	bad   map[string]bool
	found []Fault
}

func (v *validator) add(key, format string, args ...any) {
	if !v.bad[key] {
		v.found = append(v.found, Fault{v.cfg.origins[key], key, fmt.Sprintf(format, args...)})
	}
}

func (v *validator) sizeWithin(key string, value, low, high Bytes) {
	if value < low || value > high {
		v.add(key, "%s is out of bounds; from %s to %s", value, low, high)
	}
}

func (v *validator) timeWithin(key string, value Duration, low, high time.Duration) {
	if value.Std() < low || value.Std() > high {
		v.add(key, "%s is out of bounds; from %s to %s", value, Duration(low), Duration(high))
	}
}

func (v *validator) intWithin(key string, value, low, high int) {
	if value < low || value > high {
		v.add(key, "%d is out of bounds; from %d to %d", value, low, high)
	}
}

// notOver reports small > large at whichever of the two keys was set, so that the line is the one to change.
func (v *validator) notOver(smallKey string, small Bytes, largeKey string, large Bytes, why string) {
	if small <= large || v.bad[smallKey] || v.bad[largeKey] {
		return
	}
	_, smallSet := v.cfg.origins[smallKey]
	if _, largeSet := v.cfg.origins[largeKey]; largeSet && !smallSet {
		v.add(largeKey, "%s is less than %s (%s): %s; raise the first or lower the second", large, smallKey, small, why)
		return
	}
	v.add(smallKey, "%s is more than %s (%s): %s; lower the first or raise the second", small, largeKey, large, why)
}

func (v *validator) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		v.add(key, "%q is not one of %s", value, strings.Join(allowed, ", "))
	}
}

func (v *validator) general() {
	if strings.TrimSpace(v.cfg.DataDir) == "" {
		v.add("data_dir", "must name a directory, for example ./data")
	}
	v.timeWithin("shutdown_timeout", v.cfg.ShutdownTimeout, time.Millisecond, time.Hour)
	v.oneOf("log.level", v.cfg.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", v.cfg.Log.Format, "text", "json")
	v.sizeWithin("dead_letters.max_bytes", v.cfg.DeadLetters.MaxBytes, 0, 1<<50)
	v.oneOf("dead_letters.on_full", v.cfg.DeadLetters.OnFull, onFullBlock, onFullDropOldest)
	if v.cfg.DeadLetters.MaxAge != 0 {
		v.timeWithin("dead_letters.max_age", v.cfg.DeadLetters.MaxAge, time.Hour, 100*365*24*time.Hour)
	}
	v.sizeWithin("dead_letters.refused_max_bytes", v.cfg.DeadLetters.RefusedMaxBytes, 64<<10, 1<<50)
	v.sizeWithin("wal.min_free_bytes", v.cfg.WAL.MinFreeBytes, 0, 1<<50)
	v.sizeWithin("store.max_bytes", v.cfg.Store.MaxBytes, local.MinBytes, 1<<50)
}

func (v *validator) ingest() {
	in := v.cfg.Ingest
	if len(in.Listen) == 0 {
		v.add("ingest.listen", "must name at least one address, for example 127.0.0.1:8080")
	}
	for _, address := range in.Listen {
		if path, ok := strings.CutPrefix(address, "unix://"); ok {
			if !strings.HasPrefix(path, "/") || len(path) > 107 {
				v.add("ingest.listen", "%q is not a socket; write unix:// and an absolute path of at most 107 bytes", address)
			}
		} else if err := checkHostPort(address); err != nil {
			v.add("ingest.listen", "%s, or unix:///run/weir/ingest.sock", err)
		}
	}
	if in.SocketMode == 0 || in.SocketMode&^0o777 != 0 {
		v.add("ingest.socket_mode", "%s lets nobody in, or holds more than permission bits; the default is 0660", in.SocketMode)
	}
	v.sizeWithin("ingest.max_event_bytes", in.MaxEventBytes, 1<<10, 64<<20)
	v.sizeWithin("ingest.max_body_bytes", in.MaxBodyBytes, 1<<10, 1<<30)
	v.sizeWithin("ingest.max_in_flight_bytes", in.MaxInFlightBytes, 1<<10, 1<<40)
	v.notOver("ingest.max_event_bytes", in.MaxEventBytes, "ingest.max_body_bytes", in.MaxBodyBytes,
		"the largest event could never arrive")
	v.notOver("ingest.max_body_bytes", in.MaxBodyBytes, "ingest.max_in_flight_bytes", in.MaxInFlightBytes,
		"the largest body would always be refused")
	v.timeWithin("ingest.idle_timeout", in.IdleTimeout, time.Second, 24*time.Hour)
	v.timeWithin("ingest.read_timeout", in.ReadTimeout, 100*time.Millisecond, time.Hour)
}

func (v *validator) wal() {
	w := v.cfg.WAL
	v.sizeWithin("wal.segment_bytes", w.SegmentBytes, minSegmentBytes, 1<<30)
	if w.MaxBytes == 0 {
		return
	}
	v.sizeWithin("wal.max_bytes", w.MaxBytes, 4*minSegmentBytes, 1<<50)
	if w.SegmentBytes > w.MaxBytes/2 && !v.bad["wal.max_bytes"] {
		v.add("wal.segment_bytes", "%s is more than half of wal.max_bytes (%s): space is given back by whole segments, so a log needs room for two",
			w.SegmentBytes, w.MaxBytes)
	}
}

func (v *validator) delivery() {
	f := v.cfg.Flush
	v.sizeWithin("flush.batch_bytes", f.BatchBytes, 1<<10, 100<<20)
	v.intWithin("flush.batch_events", f.BatchEvents, 1, 1_000_000)
	v.timeWithin("flush.linger", f.Linger, time.Millisecond, time.Minute)
	v.intWithin("flush.max_in_flight", f.MaxInFlight, 1, 256)
	v.timeWithin("flush.park_timeout", f.ParkTimeout, time.Second, 7*24*time.Hour)
	v.intWithin("flush.max_attempts", f.MaxAttempts, 0, 1_000_000)
	if f.MaxAge != 0 {
		v.timeWithin("flush.max_age", f.MaxAge, time.Second, 10*365*24*time.Hour)
	}
	v.timeWithin("flush.retry_min", f.RetryMin, time.Millisecond, time.Hour)
	v.timeWithin("flush.retry_max", f.RetryMax, time.Millisecond, 24*time.Hour)
	if f.RetryMin > f.RetryMax {
		v.add("flush.retry_min", "%s is longer than flush.retry_max (%s)", f.RetryMin, f.RetryMax)
	}
	v.sizeWithin("flush.max_in_flight_bytes", f.MaxInFlightBytes, 1<<10, 1<<40)
	v.notOver("flush.batch_bytes", f.BatchBytes, "flush.max_in_flight_bytes", f.MaxInFlightBytes, "a full batch would never fit")
	v.notOver("ingest.max_event_bytes", v.cfg.Ingest.MaxEventBytes, "flush.max_in_flight_bytes", f.MaxInFlightBytes,
		"the largest event could never be delivered")
}

func (v *validator) admin() {
	a := v.cfg.Admin
	if err := checkHostPort(a.Listen); err != nil {
		v.add("admin.listen", "%s", err)
		return
	}
	if a.Token == "" && !isLoopback(a.Listen) && !v.bad["admin.token_file"] {
		v.add("admin.listen", "%s can be reached from other machines and needs admin.token or admin.token_file; or listen on 127.0.0.1", a.Listen)
	}
	_, port, _ := net.SplitHostPort(a.Listen) // checked above
	if port != "0" && slices.Contains(v.cfg.Ingest.Listen, a.Listen) {
		v.add("admin.listen", "%s is an address of ingest.listen too; give each its own port", a.Listen)
	}
}

func (v *validator) streams() {
	for _, name := range v.cfg.StreamNames() {
		if !validStreamName(name) {
			v.add("streams", "%q cannot name a stream; %s", name, streamNameRule)
			continue
		}
		s := v.cfg.Streams[name]
		v.streamTransform(name, &s.Transform)
		prefix := "streams." + name + ".elasticsearch."
		if v.cfg.OwnDestination(name) {
			v.connection(prefix, &s.Elasticsearch)
			if s.Elasticsearch.embedded() {
				v.add(prefix+"addresses", "must name at least one address; leave the line out to deliver where the global section says")
			}
		} else {
			v.foreignConnection(prefix)
		}
		v.routing(prefix, &s.Elasticsearch)
	}
}

const streamNameRule = "a name has 1 to 64 of a-z 0-9 _ - and begins with a letter or digit"

var streamName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

func validStreamName(s string) bool { return streamName.MatchString(s) }

func checkHostPort(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || strings.ContainsAny(host, "/@ ") {
		return fmt.Errorf("%q is not an address; write host:port, for example 127.0.0.1:8080", address)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%q has no port from 0 to 65535; write host:port, for example 127.0.0.1:8080", address)
	}
	return nil
}

// isLoopback reports whether only this machine can reach the address. A name other than localhost may
// resolve to anything and does not count.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// checkIndex applies Elasticsearch's rules for names. {stream} stands for the name of a stream, and a
// pattern may hold stars. A date is digits and dots, and needs nothing of its own.
func checkIndex(index string, pattern bool) error {
	if from, to, ok := flush.DatePattern(index); ok && !pattern {
		if _, _, again := flush.DatePattern(index[:from] + index[to:]); again {
			return fmt.Errorf("%q holds more than one date; write one, for example 2006.01.02", index)
		}
	}
	name := strings.ReplaceAll(index, "{stream}", "s")
	if pattern {
		name = strings.ReplaceAll(name, "*", "s")
	}
	switch {
	case name == "":
		return fmt.Errorf("an index name must not be empty")
	case strings.Contains(strings.ToLower(name), "yyyy") || strings.Contains(name, "%Y"):
		return fmt.Errorf("%q holds a date as others write it; write 2006.01.02 for year, month and day", index)
	case name != strings.ToLower(name):
		return fmt.Errorf("%q cannot name an index; use small letters only", index)
	case strings.ContainsAny(name, "\\/*?\"<>| ,#:{}") || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%q cannot name an index; leave out \\ / * ? \" < > | , # : and spaces ({stream} stands for the stream)", index)
	case strings.ContainsRune("-_+.", rune(name[0])):
		return fmt.Errorf("%q cannot name an index; begin with a letter or digit", index)
	case len(name) > 255-64:
		return fmt.Errorf("%q cannot name an index; use at most 190 bytes", index)
	}
	return nil
}
