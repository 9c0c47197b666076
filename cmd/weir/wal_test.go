package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/wal"
)

func TestCommands_LogAndStatus(t *testing.T) {
	fill := func(s *testService) {
		origin := wal.Origin{Stream: DefaultStream, ReceivedAt: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
		events := []wal.Event{{Payload: []byte("{\"n\":\n1.0}")}, {Payload: []byte("bad\x1b[31m"), Flags: wal.FlagRejected, Reason: "malformed_json: byte 0"}}
		if _, err := s.service.log.Append(s.t.Context(), origin, events); err != nil {
			s.t.Fatal(err)
		}
	}
	bothWays(t, fill, func(t *testing.T, o *operator, says string) {
		info := o.want(exitDone, says, "wal", "info")
		if !strings.Contains(info, "1 to 2 durable") || !strings.Contains(info, "00000000000000000001") {
			t.Errorf("info:\n%s", info)
		}
		if out := o.want(exitDone, says, "wal", "verify"); !strings.Contains(out, "\nok ") || !strings.Contains(out, ": all sound\n") {
			t.Errorf("verify: %s", out)
		}
		if out := o.want(exitDone, says, "wal", "cat", "--raw"); out != "{\"n\":\n1.0}\nbad\x1b[31m\n" {
			t.Errorf("cat --raw: %q", out)
		}
		if out := o.want(exitDone, says, "wal", "cat", "--from", "2"); strings.Contains(out, "\x1b") || !strings.Contains(out, "REJECTED (malformed_json: byte 0)") || strings.Count(out, "\n") != 1 {
			t.Errorf("cat: %q", out)
		}
		if out := decodeLines[recordView](t, o.want(exitDone, says, "wal", "cat", "-o", "ndjson", "--limit", "1")); len(out) != 1 || string(out[0].Event.Bytes) != "{\"n\":\n1.0}" {
			t.Errorf("cat -o ndjson: %+v", out)
		}
		state := stateOK
		if says == opensDir {
			state = stateStopped
		}
		if out := o.want(exitDone, says, "status"); !strings.Contains(out, " is "+state) {
			t.Errorf("status:\n%s", out)
		}
		var st statusReport
		if err := json.Unmarshal([]byte(o.want(exitDone, says, "status", "-o", "json")), &st); err != nil || st.State != state || st.Log.DurableOffset != 2 {
			t.Errorf("status: %+v %v", st, err)
		}
		o.terminal(60)
		for _, args := range []string{"status", "wal info", "dlq ls", "dlq stats", "search x", "wal verify"} {
			out := o.want(exitDone, says, strings.Fields(args)...)
			for line := range strings.Lines(out) {
				if plain := strings.NewReplacer(colourGreen, "", colourRed, "", colourReset, "", colourYellow, "").Replace(line); strings.Contains(plain, "\x1b") {
					t.Errorf("%s prints an escape sequence: %q", args, line)
				}
			}
		}
	})
}

func TestWALVerify_Damage_ExitsWithOne(t *testing.T) {
	s := startService(t)
	origin := wal.Origin{Stream: DefaultStream, ReceivedAt: time.Now()}
	for _, text := range []string{`{"first":1}`, `{"second":"to be damaged"}`, `{"third":1}`} {
		if _, err := s.service.log.Append(t.Context(), origin, []wal.Event{{Payload: []byte(text)}}); err != nil {
			t.Fatal(err)
		}
	}
	s.end()
	segment := filepath.Join(layoutOf(s.cfg.DataDir).wal, "00000000000000000001")
	b, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(b), "to be damaged")
	if at < 0 { // the library may have written the payload encoded
		t.Fatalf("the event is not in %s as it is", segment)
	}
	b[at] ^= 1
	if err := os.WriteFile(segment, b, 0o600); err != nil {
		t.Fatal(err)
	}
	o := newOperator(s)
	if out := o.want(exitFailed, opensDir, "wal", "verify"); !strings.Contains(out, "2 to 2") || !strings.Contains(out, "\ndamaged 1 record cannot be read; 2 records in ") {
		t.Errorf("verify:\n%s", out)
	}
	var rep verifyReport
	if err := json.Unmarshal([]byte(o.want(exitFailed, opensDir, "wal", "verify", "-o", "json")), &rep); err != nil || rep.Lost != 1 || rep.Damage[0].First != 2 || rep.Damage[0].Reason == "" {
		t.Errorf("%+v %v", rep, err)
	}
	if out := o.want(exitDone, opensDir, "wal", "cat", "--from", "2", "--to", "2"); !strings.Contains(out, "DAMAGED, 1 record") {
		t.Errorf("cat: %s", out)
	}
	if out := o.want(exitDone, opensDir, "wal", "repair", "--dry-run"); !strings.Contains(out, "becomes dead letters of stage log") || !strings.Contains(out, "nothing was changed") {
		t.Errorf("repair: %s", out)
	}
}

func TestWALRepair_TornTail_IsSetAside(t *testing.T) {
	s := startService(t)
	if _, err := s.service.log.Append(t.Context(), wal.Origin{Stream: DefaultStream, ReceivedAt: time.Now()}, []wal.Event{{Payload: []byte(`{"kept":1}`)}}); err != nil {
		t.Fatal(err)
	}
	// A copy taken while the log is open has no clean mark, as after a kill.
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(s.cfg.DataDir)); err != nil {
		t.Fatal(err)
	}
	o := newOperator(s)
	o.want(exitFailed, "a running log needs no repair", "wal", "repair")
	s.end()
	segment := filepath.Join(layoutOf(dir).wal, "00000000000000000001")
	f, err := os.OpenFile(segment, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("half a frame"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if out := o.want(exitDone, opensDir, "wal", "repair", "--dry-run", "--data-dir", dir); !strings.Contains(out, "  wal           set 12 B aside in repair/") {
		t.Errorf("dry run: %s", out)
	}
	if exists(layoutOf(dir).repair) {
		t.Error("a dry run has made repair/")
	}
	var rep repairReport
	if err := json.Unmarshal([]byte(o.want(exitDone, opensDir, "wal", "repair", "--data-dir", dir, "-o", "json")), &rep); err != nil || !rep.Done || rep.TornBytes != 12 || rep.Records != 1 {
		t.Errorf("%+v %v", rep, err)
	}
	if out := o.want(exitDone, opensDir, "wal", "repair", "--data-dir", dir); !strings.Contains(out, "nothing had to be done") || !strings.Contains(out, "sound: 1 record\n") {
		t.Errorf("afterwards: %s", out)
	}
	if kept, err := os.ReadDir(layoutOf(dir).repair); err != nil || len(kept) != 1 {
		t.Errorf("kept %v %v", kept, err)
	}
}

func TestAdmin_Records_SegmentsReclaimedMeanwhile_AreNoDamage(t *testing.T) {
	// Nobody listens there, so that nothing is reclaimed but by the test.
	s := startService(t, "WEIR_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:1", "WEIR_WAL_SEGMENT_BYTES=16KiB", "WEIR_SHUTDOWN_TIMEOUT=10ms")
	event := []byte(`{"x":"` + strings.Repeat("x", 4000) + `"}`)
	const n = 100
	var last wal.Offset
	for range n {
		var err error
		if last, err = s.service.log.Append(t.Context(), wal.Origin{Stream: DefaultStream, ReceivedAt: time.Now()}, []wal.Event{{Payload: event}}); err != nil {
			t.Fatal(err)
		}
	}
	// Through a pipe that holds nothing back, so that the handler stands still between two reads.
	client := &adminClient{base: "http://localhost", http: &http.Client{Transport: &handlerTransport{s.admin.admin.handler()}}}
	seen := 0
	_, err := client.lines(t.Context(), "GET", walPath+"/records", nil, nil, func(line []byte) error {
		if seen++; seen == 1 {
			if _, err := s.service.log.Reclaim(last - 1); err != nil {
				return err
			}
		}
		if strings.Contains(string(line), "damage") {
			t.Errorf("line %d: %.300s", seen, line)
		}
		return nil
	})
	if err != nil || seen == 0 || seen >= n {
		t.Errorf("%d lines, %v", seen, err)
	}
	if metrics := s.ask("GET", "/metrics", "").body; !strings.Contains(metrics, "weir_wal_damaged_records_total 0") {
		t.Error("reclaimed segments count as damage")
	}
}
