package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weirlog/weir/flush/elastic/elastictest"
)

// bareServer is an Elasticsearch that knows who it is, takes everything, and keeps nothing.
func bareServer(t *testing.T, answer func(r *http.Request) (status int, body string)) (url string, changes *[]string) {
	t.Helper()
	changes = &[]string{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, body := 404, `{"error":{"type":"resource_not_found_exception","reason":"not found"}}`
		switch {
		case r.URL.Path == "/":
			status, body = 200, `{"cluster_name":"c","tagline":"You Know, for Search","version":{"number":"8.19.21"}}`
		case r.Method == "PUT":
			*changes = append(*changes, r.URL.Path)
			status, body = 200, `{"acknowledged":true}`
		}
		if answer != nil {
			if s, b := answer(r); s != 0 {
				status, body = s, b
			}
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // the client may be gone
	}))
	t.Cleanup(web.Close)
	return web.URL, changes
}

func TestSetup(t *testing.T) {
	url, changes := bareServer(t, nil)
	config := writeFile(t, t.TempDir(), "weir.yaml", "elasticsearch: {addresses: "+url+", index: \"logs-{stream}-x\"}\nstreams:\n  shop:\n  days: {elasticsearch: {index: days-2006.01.02}}\n"+
		"  same: {elasticsearch: {index: logs-shop-x}}\n  replaced: {elasticsearch: {index: replaced, op: index}}\n")
	code, stdout, stderr := newTestApp(t).exec(t.Context(), "setup", "--config", config, "--dry-run", "--retention", "30d")
	if code != exitDone || stderr != "" || len(*changes) != 0 {
		t.Fatalf("dry run: %d %s, changed %q", code, stderr, *changes)
	}
	for _, want := range []string{"would be created index template  weir-logs-shop-x", "\nPUT /_data_stream/logs-shop-x\n", "\nPUT /_ilm/policy/weir-days\n{\n  \"policy\": {", `"days-*"`} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the dry run does not show %q:\n%s", want, stdout)
		}
	}
	code, stdout, stderr = newTestApp(t).exec(t.Context(), "setup", "--config", config, "--retention", "30d")
	if code != exitDone || stderr != "" {
		t.Fatalf("%d %s", code, stderr)
	}
	want := "/_ilm/policy/weir-days /_index_template/weir-days " +
		"/_ilm/policy/weir-logs-default-x /_index_template/weir-logs-default-x /_data_stream/logs-default-x " +
		"/_ilm/policy/weir-replaced /_index_template/weir-replaced " +
		"/_ilm/policy/weir-logs-shop-x /_index_template/weir-logs-shop-x /_data_stream/logs-shop-x"
	if got := strings.Join(*changes, " "); got != want {
		t.Errorf("made\n%s\nwant\n%s", got, want)
	}
	if !strings.Contains(stdout, "created          data stream     logs-shop-x") || strings.Contains(stdout, "PUT ") {
		t.Errorf("said\n%s", stdout)
	}
	*changes = nil
	if code, _, _ := newTestApp(t).exec(t.Context(), "setup", "--config", config, "--stream", "days", "-o", "json"); code != exitDone || strings.Join(*changes, " ") != "/_index_template/weir-days" {
		t.Errorf("one stream, without retention: %d %q", code, *changes)
	}
}

func TestSetup_Fails(t *testing.T) {
	t.Chdir(t.TempDir())
	url, _ := bareServer(t, func(r *http.Request) (int, string) {
		if r.Method == "PUT" && strings.HasPrefix(r.URL.Path, "/_index_template") {
			return 403, `{"error":{"type":"security_exception","reason":"needs manage_index_templates"}}`
		}
		return 0, ""
	})
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"refused":        {[]string{"--elasticsearch", url}, exitFailed, "needs manage_index_templates"},
		"away":           {[]string{"--elasticsearch", "http://127.0.0.1:1"}, exitFailed, "is it running"},
		"embedded":       {nil, exitDone, "needs nothing"},
		"no such time":   {[]string{"--retention", "month"}, exitUsage, "for example 30d"},
		"no such size":   {[]string{"--rollover-size", "1"}, exitUsage, "for example 50gb"},
		"no such stream": {[]string{"--stream", "x"}, exitUsage, `no stream "x"`},
	} {
		code, stdout, stderr := newTestApp(t).exec(t.Context(), append([]string{"setup"}, tt.args...)...)
		if code != tt.code || !strings.Contains(stdout+stderr, tt.says) {
			t.Errorf("%s: exit code %d, want %d and %q:\n%s%s", name, code, tt.code, tt.says, stdout, stderr)
		}
	}
}

func TestCheck_Destinations(t *testing.T) {
	asked, _ := bareServer(t, func(r *http.Request) (int, string) {
		switch r.URL.Path {
		case "/_data_stream/audit":
			return 200, `{"data_streams":[{}]}`
		case "/_security/user/_has_privileges":
			return 200, `{"has_all_requested":false,"index":{"audit":{"index":true,"auto_configure":false}}}`
		}
		return 0, ""
	})
	silent := elastictest.Start(t, elastictest.Options{Greeting: 403})
	open := elastictest.Start(t, elastictest.Options{OpenSearch: true})
	config := writeFile(t, t.TempDir(), "weir.yaml", "data_dir: "+t.TempDir()+"\nwal: {min_free_bytes: 0}\nstreams:\n"+
		"  audit: {elasticsearch: {addresses: "+asked+", index: audit, op: index, compression: zstd}}\n"+
		"  writer: {elasticsearch: {addresses: "+silent.URL()+"}}\n  open: {elasticsearch: {addresses: "+open.URL()+", require_data_stream: true}}\n")
	code, lines := findings(t, newTestApp(t), "--config", config)
	if code != exitDone {
		t.Errorf("exit code %d: none of it keeps a start from going on", code)
	}
	wantFinding(t, lines, "ok destination embedded", "(1 stream: default)")
	wantFinding(t, lines, "ok destination elasticsearch 8.19.21", "(1 stream: audit)")
	wantFinding(t, lines, "warning destination", "is not known to read zstd")
	wantFinding(t, lines, "warning destination stream audit", "lack the privileges auto_configure on audit")
	wantFinding(t, lines, "warning destination stream audit", "audit is a data stream, which takes no elasticsearch.op: index")
	wantFinding(t, lines, "warning destination", "delivery may work")
	wantFinding(t, lines, "warning destination", "does not know require_data_stream")
}
