package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirlog/weir/flush/elastic/elastictest"
	"github.com/weirlog/weir/wal"
)

// findings runs weir check and returns what it found, one "result subject message" each.
func findings(t *testing.T, ta *testApp, args ...string) (code int, lines []string) {
	t.Helper()
	code, stdout, stderr := ta.exec(t.Context(), append([]string{"check", "-o", "ndjson"}, args...)...)
	if stderr != "" {
		t.Errorf("standard error: %s", stderr)
	}
	for line := range strings.Lines(stdout) {
		var f finding
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		lines = append(lines, string(f.Result)+" "+f.Subject+" "+f.Message)
	}
	return code, lines
}

func wantFinding(t *testing.T, lines []string, begin, part string) {
	t.Helper()
	for _, line := range lines {
		if strings.HasPrefix(line, begin) && strings.Contains(line, part) {
			return
		}
	}
	t.Errorf("no finding %q with %q in\n%s", begin, part, strings.Join(lines, "\n"))
}

func TestCheck_EverythingIsFine(t *testing.T) {
	server := elastictest.Start(t, elastictest.Options{})
	dir := t.TempDir()
	script := writeFile(t, dir, "all.lua", "function transform(event, meta)\n  return event\nend\n")
	config := writeFile(t, dir, "weir.yaml", "data_dir: "+filepath.Join(dir, "a", "data")+"\ntransform: {script: "+script+"}\n"+
		"elasticsearch: {addresses: ["+server.URL()+"]}\nwal: {max_bytes: 1MiB, min_free_bytes: 0}\n")
	code, lines := findings(t, newTestApp(t), "--config", config)
	if code != exitDone {
		t.Errorf("exit code %d", code)
	}
	wantFinding(t, lines, "ok configuration", config+"; streams: default")
	wantFinding(t, lines, "ok transform", script+" compiles")
	wantFinding(t, lines, "ok destination", "elasticsearch 8")
	wantFinding(t, lines, "ok data directory", "does not exist yet")
	if _, err := os.Stat(filepath.Join(dir, "a")); !os.IsNotExist(err) {
		t.Errorf("check made something: %v", err)
	}
}

func TestCheck_EverythingIsWrong(t *testing.T) {
	dir := t.TempDir()
	script := writeFile(t, dir, "broken.lua", "function transform(event, meta)\n  return event event\nend\n")
	other := writeFile(t, dir, "failing.lua", "function transform(e) return e end\nfunction test_it() assert(false, 'no luck') end\n")
	file := writeFile(t, dir, "file", "")
	config := writeFile(t, dir, "weir.yaml", "data_dir: "+file+"\nlog: {level: loud}\ntransform:\n  script: "+script+"\n"+
		"elasticsearch:\n  addresses: http://127.0.0.1:1\nflush: {max_in_fligt: 1}\nstreams:\n  shop:\n    transform:\n      script: "+other+"\n")
	code, lines := findings(t, newTestApp(t), "--config", config)
	if code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	wantFinding(t, lines, "failed configuration", config+":2: log.level")
	wantFinding(t, lines, "failed configuration", config+":7: flush.max_in_fligt: unknown key; did you mean flush.max_in_flight?")
	wantFinding(t, lines, "failed transform "+config+":4: transform.script: ", "broken.lua:2: ")
	wantFinding(t, lines, "failed transform "+config+":11: streams.shop.transform.script: ", "no luck")
	wantFinding(t, lines, "failed destination "+config+":6: elasticsearch.addresses: ", "127.0.0.1:1")
	wantFinding(t, lines, "failed data directory "+config+":1: data_dir: ", "is not a directory")
}

func TestCheck_Offline_AsksNobody(t *testing.T) {
	t.Chdir(t.TempDir())
	ta := newTestApp(t, "WEIR_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:1", "WEIR_WAL_MIN_FREE_BYTES=0")
	code, lines := findings(t, ta, "--offline")
	if code != exitDone {
		t.Errorf("exit code %d", code)
	}
	wantFinding(t, lines, "skipped destination", "http://127.0.0.1:1 was not asked")
}

func TestCheck_DataDirectory(t *testing.T) {
	t.Run("in use", func(t *testing.T) {
		dir := t.TempDir()
		lock, err := wal.LockDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Announce("127.0.0.1:8081"); err != nil {
			t.Fatal(err)
		}
		_, lines := findings(t, newTestApp(t), "--data-dir", dir)
		wantFinding(t, lines, "ok data directory", "is in use by process ")
		wantFinding(t, lines, "ok data directory", "admin listener 127.0.0.1:8081")
		if err := lock.Unlock(); err != nil {
			t.Fatal(err)
		}
		_, lines = findings(t, newTestApp(t), "--data-dir", dir)
		wantFinding(t, lines, "ok data directory", "can be used")
	})
	t.Run("disk too full", func(t *testing.T) {
		code, lines := findings(t, newTestApp(t, "WEIR_WAL_MIN_FREE_BYTES=1000TiB"), "--data-dir", t.TempDir())
		wantFinding(t, lines, "failed free space", "every event would be refused")
		if code != exitFailed {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("room for less than the log may take", func(t *testing.T) {
		_, lines := findings(t, newTestApp(t, "WEIR_WAL_MIN_FREE_BYTES=0", "WEIR_WAL_MAX_BYTES=1000TiB"), "--data-dir", t.TempDir())
		wantFinding(t, lines, "warning free space", "the log may grow by")
	})
	t.Run("below a file", func(t *testing.T) {
		file := writeFile(t, t.TempDir(), "file", "")
		_, lines := findings(t, newTestApp(t), "--data-dir", filepath.Join(file, "data"))
		wantFinding(t, lines, "failed data directory flag --data-dir: data_dir:", "not a directory")
	})
	t.Run("owner", func(t *testing.T) {
		dir := t.TempDir()
		path := writeFile(t, dir, "weir.db", "")
		if err := os.Chown(path, 12345, -1); err != nil {
			t.Logf("not root, owners cannot be changed here: %v", err)
			return
		}
		_, lines := findings(t, newTestApp(t), "--data-dir", dir)
		wantFinding(t, lines, "warning data directory", "weir.db belongs to user 12345")
	})
}

func TestCheck_Print_CanBeLoaded(t *testing.T) {
	t.Chdir(t.TempDir())
	ta := newTestApp(t, "WEIR_FLUSH_MAX_IN_FLIGHT=9", "WEIR_WAL_MIN_FREE_BYTES=0")
	code, stdout, stderr := ta.exec(t.Context(), "check", "--print")
	if code != exitDone || !strings.Contains(stderr, "ok       configuration") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	cfg := mustLoad(t, configSources{File: writeConfig(t, stdout)})
	if cfg.Flush.MaxInFlight != 9 || !strings.Contains(stdout, "max_in_flight: 9 # environment WEIR_FLUSH_MAX_IN_FLIGHT") {
		t.Errorf("printed\n%s", stdout)
	}
}
