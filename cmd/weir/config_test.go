package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// loadFaults loads text and returns its faults as they are shown, with the file's directory cut off.
func loadFaults(t *testing.T, text string, environ ...string) []string {
	t.Helper()
	path := writeConfig(t, text)
	cfg, err := LoadConfig(configSources{File: path, Environ: environ})
	if err == nil {
		return nil
	}
	faults, ok := errors.AsType[*ConfigError](err)
	if !ok || cfg != nil {
		t.Fatalf("LoadConfig = %v, %T, want nil and *ConfigError", cfg, err)
	}
	lines := make([]string, len(faults.Faults))
	for i, f := range faults.Faults {
		lines[i] = strings.ReplaceAll(f.String(), path, "weir.yaml")
	}
	return lines
}

func mustLoad(t *testing.T, src configSources) *Config {
	t.Helper()
	cfg, err := LoadConfig(src)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// The file of the contract, section 3, word for word in its keys and values.
const contractFile = `data_dir: ./data
ingest:
  listen: 127.0.0.1:8080
  max_event_bytes: 1MiB
  max_body_bytes: 32MiB
  max_in_flight_bytes: 64MiB
  idle_timeout: 10m
  read_timeout: 30s
wal:
  segment_bytes: 4MiB 
  max_bytes: 10GiB
transform:
  script: ""
  timeout: 100ms
  max_memory: 16MiB
elasticsearch:
  addresses: []
  index: logs-weir-default
flush:
  batch_bytes: 5MiB
  batch_events: 5000
  linger: 1s
  max_in_flight_bytes: 16MiB
dead_letters:
  max_bytes: 1GiB
  refused_max_bytes: 64MiB
store:
  max_bytes: 1GiB
admin:
  listen: 127.0.0.1:8081
streams: {}
log: {level: info, format: text}
`

func TestLoadConfig_ContractFileIsTheDefaults(t *testing.T) {
	got := mustLoad(t, configSources{File: writeConfig(t, contractFile)})
	want := mustLoad(t, configSources{})
	got.origins, want.origins = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("contract file gives\n%+v\nwant\n%+v", got, want)
	}
	if err := want.Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
}

func TestLoadConfig_AllFaultsAtOnce(t *testing.T) {
	got := loadFaults(t, `wal:
  segment_byts: 4MiB
  max_bytes: 10 parsecs
  max_bytes: 1GiB
flush: {linger: 5, max_in_flight: x}
elasticsearch:
  addresses: es:9200
streams:
  Bad: {}
  ok: {elasticsearch: {index: UP}, transfrom: {script: a}}
max_event_bytes: 1MiB
`, "WEIR_LOG_LEVEL=loud", "WEIR_ADMIN_LISTN=x", "WEIR_STREAMS_A_INDEX=x", "WEIR_CONFIG=x", "WEIR_PORT_8080_TCP=x", "WEIR_WAL_SERVICE_HOST=x")
	want := []string{
		`weir.yaml:2: wal.segment_byts: unknown key; did you mean wal.segment_bytes?`,
		`weir.yaml:3: wal.max_bytes: "10 parsecs": parsecs is not a unit of size; ` + sizeRemedy,
		`weir.yaml:4: wal.max_bytes: is given twice; the first is in line 3`,
		`weir.yaml:5: flush.linger: "5" has no unit; ` + durationRemedy,
		`weir.yaml:5: flush.max_in_flight: "x" is not a whole number`,
		`weir.yaml:7: elasticsearch.addresses: "es:9200" is not a URL; write for example https://es.example.org:9200`,
		`weir.yaml:9: streams: "Bad" cannot name a stream; ` + streamNameRule,
		`weir.yaml:10: streams.ok.elasticsearch.index: "UP" cannot name an index; use small letters only`,
		`weir.yaml:10: streams.ok.transfrom: unknown key; did you mean streams.ok.transform?`,
		`weir.yaml:11: max_event_bytes: unknown key; did you mean ingest.max_event_bytes?`,
		`environment WEIR_ADMIN_LISTN: unknown variable; did you mean WEIR_ADMIN_LISTEN?`,
		`environment WEIR_LOG_LEVEL: log.level: "loud" is not one of debug, info, warn, error`,
		`environment WEIR_STREAMS_A_INDEX: streams are declared in the configuration file only`,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("faults\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// cloudText is found.io$abc.
const cloudText = "Zm91bmQuaW8kYWJj"

func TestLoadConfig_OneFault(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"tab as indentation", "wal:\n\tmax_bytes: 1GiB\n", "weir.yaml:2: not valid YAML"},
		{"file is a list", "- a\n", "weir.yaml:1: the file holds keys"},
		{"section is a value", "wal: 5\n", "weir.yaml:1: wal: a section holds keys"},
		{"value is a section", "data_dir: {a: b}\n", "weir.yaml:1: data_dir: takes a single value"},
		{"value is missing", "data_dir:\n", "weir.yaml:1: data_dir: has no value"},
		{"list holds a section", "ingest: {listen: [{a: b}]}\n", "ingest.listen: takes a list of single values"},
		{"second document", "data_dir: a\n---\ndata_dir: b\n", "weir.yaml:2: a second document begins here"},
		{"merge key", "wal: &w {max_bytes: 1GiB}\nstore:\n  <<: *w\n", "weir.yaml:3: store: merge keys"},
		{"dotted key", "wal.max_bytes: 1GiB\n", "weir.yaml:1: wal.max_bytes: write sections as levels: {wal: {max_bytes: ...}}"},
		{"camel case", "wal: {segmentBytes: 1MiB}\n", "did you mean wal.segment_bytes?"},
		{"nothing near", "colour: red\n", "weir.yaml:1: colour: unknown key; docs/configuration.md lists them all"},
		{"time as size", "wal: {max_bytes: 10s}\n", "s is not a unit of size"},
		{"size as time", "flush: {linger: 1MiB}\n", `"1MiB" is not a time span`},
		{"negative size", "wal: {max_bytes: -1}\n", `"-1" is not a size`},
		{"half a byte", "wal: {max_bytes: 1.5}\n", "not a whole number of bytes"},
		{"size beyond 63 bits", "wal: {max_bytes: 9999999TiB}\n", "too large"},
		{"negative time", "flush: {linger: -1s}\n", "negative"},
		{"bool in words", "elasticsearch: {timestamp: yes}\n", `"yes" is neither true nor false`},
		{"mode with a sticky bit", "ingest: {socket_mode: \"1777\"}\n", "is not a file mode"},
		{"event larger than body", "ingest: {max_event_bytes: 8MiB, max_body_bytes: 4MiB}\n", "weir.yaml:1: ingest.max_event_bytes: 8MiB is more than ingest.max_body_bytes (4MiB)"},
		{"body larger than the memory for bodies", "ingest:\n  max_in_flight_bytes: 16MiB\n", "weir.yaml:2: ingest.max_in_flight_bytes: 16MiB is less than ingest.max_body_bytes (32MiB)"},
		{"batch larger than the memory for batches", "flush: {batch_bytes: 20MiB}\n", "flush.batch_bytes: 20MiB is more than flush.max_in_flight_bytes (16MiB)"},
		{"log smaller than two segments", "wal: {segment_bytes: 4MiB, max_bytes: 6MiB}\n", "wal.segment_bytes: 4MiB is more than half of wal.max_bytes (6MiB)"},
		{"retry bounds crossed", "flush: {retry_min: 2s, retry_max: 1s}\n", "flush.retry_min: 2s is longer than"},
		{"admin open to all without a token", "admin: {listen: \":8081\"}\n", "needs admin.token"},
		{"admin on the ingest address", "admin: {listen: \"127.0.0.1:8080\"}\n", "give each its own port"},
		{"listen without a port", "ingest: {listen: localhost}\n", `"localhost" is not an address`},
		{"listen on a relative socket", "ingest: {listen: \"unix://a.sock\"}\n", "an absolute path"},
		{"listen on nothing", "ingest: {listen: []}\n", "at least one address"},
		{"index begins with a dash", "elasticsearch: {index: -logs}\n", "begin with a letter or digit"},
		{"index with a star", "elasticsearch: {index: \"logs-*\"}\n", "leave out"},
		{"unknown placeholder in index", "elasticsearch: {index: \"logs-{day}\"}\n", "leave out"},
		{"key and user", "elasticsearch: {api_key: a, username: b, password: c}\n", "exclude each other"},
		{"user without password", "elasticsearch: {username: b}\n", "needs elasticsearch.password"},
		{"secret file missing", "admin: {token_file: /nonexistent/token}\n", "weir.yaml:1: admin.token_file: cannot read /nonexistent/token: no such file"},
		{"secret twice", "admin: {token: a, token_file: /dev/null}\n", "admin.token is given as well"},
		{"secret file is empty", "admin: {token_file: /dev/null}\n", "on one line"},
		{"certificate file holds none", "elasticsearch: {ca_file: /dev/null}\n", "no certificate"},
		{"a key that is gone", "flush: {workers: 4}\n", "weir.yaml:1: flush.workers: this key is gone; flush.max_in_flight says"},
		{"cloud id and addresses", "elasticsearch: {cloud_id: \"a:" + cloudText + "\", addresses: \"http://a\"}\n", "elasticsearch.cloud_id: a cloud id and addresses exclude"},
		{"broken cloud id", "elasticsearch: {cloud_id: abc}\n", "not a cloud id"},
		{"broken fingerprint", "elasticsearch: {ca_fingerprint: \"12:34\"}\n", "64 hex digits"},
		{"client certificate without key", "elasticsearch: {client_cert_file: a}\n", "needs elasticsearch.client_key_file"},
		{"client certificate that is not there", "elasticsearch: {client_cert_file: /nonexistent, client_key_file: /nonexistent}\n", "no such file"},
		{"proxy of another kind", "elasticsearch: {proxy: \"ftp://a\"}\n", "http, https, socks5"},
		{"header without a colon", "elasticsearch: {headers: [abc]}\n", `header 1 is not written as "Name: value"`},
		{"header of the request", "elasticsearch: {headers: [\"content-type: a\"]}\n", "Content-Type belongs to the request"},
		{"mask in a header", "elasticsearch: {headers: [\"X-A: ********\"]}\n", "the mask"},
		{"credentials twice", "elasticsearch: {headers: [\"authorization: Bearer a\"], api_key: b}\n", "a header Authorization excludes"},
		{"other compression", "elasticsearch: {compression: zip}\n", "none, gzip, zstd"},
		{"other op", "elasticsearch: {op: update}\n", "create, index"},
		{"op that data streams refuse", "elasticsearch: {op: index, require_data_stream: true}\n", "data streams take no index"},
		{"ids from a field without one", "elasticsearch: {id: field}\n", "weir.yaml:1: elasticsearch.id: field takes ids from"},
		{"no ids and a field for them", "elasticsearch: {id: none, id_field: a}\n", "weir.yaml:1: elasticsearch.id: none leaves"},
		{"a stream's field against no ids", "elasticsearch: {id: none}\nstreams: {a: {elasticsearch: {id_field: b}}}\n", "weir.yaml:2: streams.a.elasticsearch.id_field: none leaves"},
		{"date as others write it", "elasticsearch: {index: \"logs-yyyy.mm.dd\"}\n", "write 2006.01.02"},
		{"two dates", "elasticsearch: {index: \"logs-2006.01-2006\"}\n", "more than one date"},
		{"too old", "flush: {max_age: 1ms}\n", "flush.max_age: 1ms is out of bounds"},
		{"credentials of a stream without a server", "streams: {a: {elasticsearch: {api_key: b}}}\n", "weir.yaml:1: streams.a.elasticsearch.api_key: is about a connection, and the stream has none of its own"},
		{"a stream's server with nothing in it", "streams: {a: {elasticsearch: {addresses: []}}}\n", "streams.a.elasticsearch.addresses: must name at least one"},
		{"a stream's server is no URL", "streams: {a: {elasticsearch: {addresses: es}}}\n", "streams.a.elasticsearch.addresses: \"es\" is not a URL"},
		{"a script without time", "transform: {timeout: 1us}\n", "weir.yaml:1: transform.timeout: 1µs is out of bounds"},
		{"a stream's script without time", "transform: {timeout: 2m}\nstreams: {a: {}}\n", "weir.yaml:1: transform.timeout: 2m is out of bounds"},
		{"a stream's own script without memory", "streams: {a: {transform: {max_memory: 1KiB}}}\n", "weir.yaml:1: streams.a.transform.max_memory: 1KiB is out of bounds"},
		{"a key that streams do not have", "streams: {a: {transform: {shadow_events: 5}}}\n", "streams.a.transform.shadow_events: unknown key"},
		{"a long shadow", "transform: {shadow_events: 1000000}\n", "transform.shadow_events: 1000000 is out of bounds"},
		{"more than all events", "transform: {rollback_error_rate: 5}\n", `"5" is not a share; write a percentage from 0% to 100%`},
		{"a share in words", "transform: {rollback_error_rate: some}\n", `"some" is not a share`},
		{"a share that is no number", "transform: {rollback_error_rate: nan}\n", `"nan" is not a share`},
		{"judged by no events", "transform: {rollback_min_events: 0}\n", "transform.rollback_min_events: 0 is out of bounds"},
		{"judged for no time", "transform: {rollback_window: 0}\n", "transform.rollback_window: 0s is out of bounds"},
		{"version in a field of the server's", "transform: {version_field: _id}\n", `transform.version_field: "_id" is a field of the destination's own`},
		{"version in the time", "transform: {version_field: \"@timestamp\"}\n", "is a field of the destination's own"},
		{"version in a field without a name", "transform: {version_field: \"a\\tb\"}\n", "cannot name a field"},
		{"letters full, misspelt", "dead_letters: {on_full: drop}\n", "is not one of block, drop_oldest"},
		{"letters kept for minutes", "dead_letters: {max_age: 5m}\n", "out of bounds; from 1h"},
		{"the mask as secret", "admin: {token: \"********\"}\n", "the mask"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := loadFaults(t, tt.text)
			if len(got) != 1 || !strings.Contains(got[0], tt.want) {
				t.Errorf("faults %q, want one with %q", got, tt.want)
			}
		})
	}
}

func TestLoadConfig_FileIsMissing(t *testing.T) {
	_, err := LoadConfig(configSources{File: "/nonexistent/weir.yaml"})
	if err == nil || !strings.Contains(err.Error(), "/nonexistent/weir.yaml: cannot read the configuration file: no such file") {
		t.Errorf("error %v", err)
	}
}

func TestLoadConfig_LaterLayersWin(t *testing.T) {
	src := configSources{File: writeConfig(t, "data_dir: file\nlog: {level: warn, format: json}\nflush: {max_in_flight: 7}\n")}
	src.Environ = []string{"WEIR_DATA_DIR=environment", "WEIR_LOG_LEVEL=error"}
	src.Flags = map[string]string{"data_dir": flagValue("data-dir", "flag=here")}
	cfg := mustLoad(t, src)
	if cfg.DataDir != "flag=here" || cfg.Log.Level != "error" || cfg.Log.Format != "json" || cfg.Flush.MaxInFlight != 7 {
		t.Errorf("data_dir %q, log %+v, max_in_flight %d", cfg.DataDir, cfg.Log, cfg.Flush.MaxInFlight)
	}
	for path, want := range map[string]string{"data_dir": "flag --data-dir", "log.level": "environment WEIR_LOG_LEVEL",
		"flush.max_in_flight": src.File + ":3", "store.max_bytes": "default"} {
		if got := cfg.origins[path].String(); got != want {
			t.Errorf("origin of %s is %q, want %q", path, got, want)
		}
	}
}

// otherValue returns a legal value of the key that is not its default, as it is written in a variable.
func otherValue(k configKey) (raw string, want any) {
	special := map[string]string{
		"ingest.listen": "127.0.0.1:1, unix:///run/weir.sock", "elasticsearch.addresses": "http://a:1,http://b:2",
		"elasticsearch.allowed_indices": "a-*,b", "elasticsearch.compression": "gzip", "elasticsearch.cloud_id": "a:" + cloudText, "elasticsearch.headers": "X-A: b, X-C: d",
		"elasticsearch.ca_fingerprint": strings.Repeat("0a", 32), "elasticsearch.proxy": "http://u:p@proxy:3128", "elasticsearch.op": "index", "elasticsearch.id": "none",
		"elasticsearch.failure_store": "dead_letter", "elasticsearch.require_data_stream": "true", "log.level": "debug", "log.format": "json",
		"admin.listen": "127.0.0.1:99", "wal.max_bytes": "20GiB", "store.max_bytes": "2GiB",
		"dead_letters.on_full": "drop_oldest", "dead_letters.max_age": "720h",
	}
	raw, ok := special[k.path]
	if !ok {
		raw = map[reflect.Type]string{typeBytes: "2MiB", typeDuration: "50s", typeFileMode: "0600", typeSecret: "hush",
			typeString: "other", typeBool: "false", typeInt: "9", typeShare: "7.5%"}[k.typ]
	}
	want, err := parseValue(k.typ, raw)
	if err != nil {
		panic(err)
	}
	return raw, want
}

// writeCertificate writes some certificate in PEM form.
func writeCertificate(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	path := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(path, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// writePair writes a certificate and its key.
func writePair(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return writeFile(t, dir, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))),
		writeFile(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
}

func TestLoadConfig_EveryKeyFromTheEnvironment(t *testing.T) {
	secretFile := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secretFile, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	certificate := writeCertificate(t)
	pairCert, pairKey := writePair(t)
	companions := map[string][]string{ // what a key cannot go without
		"elasticsearch.username": {"WEIR_ELASTICSEARCH_PASSWORD=x"}, "elasticsearch.password": {"WEIR_ELASTICSEARCH_USERNAME=x"},
		"elasticsearch.password_file": {"WEIR_ELASTICSEARCH_USERNAME=x"}, "ingest.max_body_bytes": {"WEIR_INGEST_MAX_EVENT_BYTES=1MiB"},
		"flush.max_in_flight_bytes": {"WEIR_FLUSH_BATCH_BYTES=1MiB"}, "ingest.max_in_flight_bytes": {"WEIR_INGEST_MAX_BODY_BYTES=1MiB"},
		"elasticsearch.client_cert_file": {"WEIR_ELASTICSEARCH_CLIENT_KEY_FILE=" + pairKey}, "elasticsearch.client_key_file": {"WEIR_ELASTICSEARCH_CLIENT_CERT_FILE=" + pairCert},
		"flush.retry_min": {"WEIR_FLUSH_RETRY_MAX=2m"},
	}
	for _, k := range configKeys {
		if strings.HasPrefix(k.path, streamsPrefix) {
			continue
		}
		t.Run(k.path, func(t *testing.T) {
			raw, want := otherValue(k)
			if strings.HasSuffix(k.path, "_file") {
				raw, want = secretFile, secretFile
			}
			switch k.path {
			case "elasticsearch.ca_file":
				raw, want = certificate, certificate
			case "elasticsearch.client_cert_file":
				raw, want = pairCert, pairCert
			case "elasticsearch.client_key_file":
				raw, want = pairKey, pairKey
			}
			cfg := mustLoad(t, configSources{Environ: append([]string{k.variable() + "=" + raw}, companions[k.path]...)})
			if got := cfg.value(k.path).Interface(); !reflect.DeepEqual(got, want) {
				t.Errorf("%s=%s gives %v, want %v", k.variable(), raw, got, want)
			}
		})
	}
	cfg := mustLoad(t, configSources{Environ: []string{"WEIR_ADMIN_TOKEN_FILE=" + secretFile}})
	if cfg.Admin.Token.Reveal() != "from file" {
		t.Errorf("admin.token_file gives %q", cfg.Admin.Token.Reveal())
	}
}

func TestLoadConfig_Streams(t *testing.T) {
	cfg := mustLoad(t, configSources{File: writeConfig(t, `
transform: {script: all.lua}
elasticsearch: {index: "logs-{stream}", id_field: uuid}
streams:
  shop:
  audit: {transform: {script: ""}, elasticsearch: {index: audit}}
`)})
	if got := cfg.StreamNames(); !reflect.DeepEqual(got, []string{"audit", "default", "shop"}) {
		t.Fatalf("streams %v", got)
	}
	tests := []struct{ stream, script, index, idField string }{
		{"default", "all.lua", "logs-default", "uuid"},
		{"shop", "all.lua", "logs-shop", "uuid"},
		{"audit", "", "audit", "uuid"},
	}
	for _, tt := range tests {
		s := cfg.Streams[tt.stream]
		if s.Transform.Script != tt.script || cfg.StreamIndex(tt.stream) != tt.index || s.Elasticsearch.IDField != tt.idField {
			t.Errorf("%s: %+v with index %s, want %+v", tt.stream, s, cfg.StreamIndex(tt.stream), tt)
		}
	}
	if got := cfg.AllowedIndices("audit"); !reflect.DeepEqual(got, []string{"audit", "logs-*"}) {
		t.Errorf("allowed indices %v", got)
	}
}

// A stream with a server of its own takes over how to deliver and nothing of the connection.
// TestLoadConfig_StreamsWithLimits: streams with the same script and the same limits share one; others are told apart.
func TestLoadConfig_StreamsWithLimits(t *testing.T) {
	cfg := mustLoad(t, configSources{File: writeConfig(t, `
transform: {script: all.lua, timeout: 50ms}
streams:
  shop: {transform: {timeout: 50ms}}
  slow: {transform: {timeout: 1s}}
  large: {transform: {script: large.lua, max_memory: 64MiB}}
  plain: {transform: {script: ""}}
`)})
	want := map[string][]string{
		"all.lua (50ms, 16MiB)": {"default", "shop"}, "all.lua (1s, 16MiB)": {"slow"}, "large.lua": {"large"},
	}
	got := map[string][]string{}
	for _, key := range cfg.scriptKeys() {
		got[cfg.scriptName(key)] = cfg.scriptStreams(key)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("scripts %v, want %v", got, want)
	}
}

func TestShare_String_ReadsAsTheSame(t *testing.T) {
	for text, want := range map[string]Share{"5%": 0.05, "0.05": 0.05, "0": 0, "100 %": 1, "0.1%": 0.001, "1": 1, " 7.25% ": 0.0725} {
		got, err := parseShare(text)
		again, err2 := parseShare(got.String())
		if err != nil || err2 != nil || got != want || again != got {
			t.Errorf("%q is %v (%v), and then %v (%v)", text, float64(got), err, float64(again), err2)
		}
	}
}

func TestLoadConfig_StreamsWithDestinations(t *testing.T) {
	cfg := mustLoad(t, configSources{File: writeConfig(t, `
elasticsearch:
  addresses: http://main:9200
  api_key: mainkey
  headers: ["X-Tenant: a"]
  compression: gzip
  index: "logs-{stream}-2006.01.02"
  op: index
  allowed_indices: ["{stream}-*"]
streams:
  shop: {elasticsearch: {pipeline: shop}}
  audit: {elasticsearch: {addresses: "http://audit:9200", username: u, password: p}}
  audit2: {elasticsearch: {addresses: "http://audit:9200", username: u, password: p, index: audit2}}
  audit3: {elasticsearch: {addresses: "http://audit:9200", username: u, password: other}}
  cloud: {elasticsearch: {cloud_id: "c:`+cloudText+`"}}
`)})
	audit := cfg.Streams["audit"].Elasticsearch
	if audit.APIKey != "" || len(audit.Headers) != 0 || audit.Compression != "none" || audit.Op != "index" || cfg.StreamIndex("audit") != "logs-audit-2006.01.02" {
		t.Errorf("audit is %#v", audit)
	}
	if es, prefix := cfg.Destination("shop"); es.APIKey != "mainkey" || prefix != "elasticsearch." {
		t.Errorf("shop goes to %s %#v", prefix, es)
	}
	var got []string
	for _, d := range cfg.Destinations() {
		got = append(got, d.es.hosts()+" "+strings.Join(d.streams, ","))
	}
	want := []string{"audit:9200 audit,audit2", "audit:9200 audit3", "abc.found.io:443 cloud", "main:9200 default,shop"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("destinations %q, want %q", got, want)
	}
	if cfg.Embedded() {
		t.Error("no stream is without a server")
	}
	if got := cfg.AllowedIndices("shop"); !reflect.DeepEqual(got, []string{"shop-*"}) || cfg.IndexPattern("shop") != "logs-shop-*" {
		t.Errorf("allowed indices %v, pattern %s", got, cfg.IndexPattern("shop"))
	}
	mixed := mustLoad(t, configSources{File: writeConfig(t, "streams: {a: {elasticsearch: {addresses: \"http://a\"}}}\n")})
	if !mixed.Embedded() {
		t.Error("without a server, streams go to the embedded destination")
	}
}

func TestLoadConfig_SmallLogGetsSmallSegments(t *testing.T) {
	cfg := mustLoad(t, configSources{Environ: []string{"WEIR_WAL_MAX_BYTES=1MiB"}})
	if cfg.WAL.SegmentBytes != 256<<10 {
		t.Errorf("segment_bytes %s", cfg.WAL.SegmentBytes)
	}
}

func TestConfig_YAML_LoadsAgain(t *testing.T) {
	first := mustLoad(t, configSources{File: writeConfig(t, `
data_dir: "a # b: [c]"
ingest: {listen: ["unix:///run/a.sock", "[::1]:80"], socket_mode: 0600}
streams: {"123": {elasticsearch: {index: "x-{stream}"}}, "null": , "true": {transform: {script: "'"}}}
shutdown_timeout: 0h10m30s
wal: {max_bytes: 12345678901}
`)})
	text, err := first.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "shutdown_timeout: 10m30s # ") {
		t.Errorf("no origin beside shutdown_timeout in\n%s", text)
	}
	second := mustLoad(t, configSources{File: writeConfig(t, string(text))})
	first.origins, second.origins = nil, nil
	if !reflect.DeepEqual(first, second) {
		t.Errorf("loaded again\n%+v\nwant\n%+v", second, first)
	}
}

func TestConfig_SecretsAreNeverShown(t *testing.T) {
	const secret = "hunter2secret"
	secretFile := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(secretFile, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	good := mustLoad(t, configSources{File: writeConfig(t, "streams: {a: {elasticsearch: {addresses: \"http://a\", api_key: "+secret+", headers: [\"X-A: "+secret+"\"], proxy: \"http://u:"+secret+"@p\"}}}\n"),
		Environ: []string{"WEIR_ELASTICSEARCH_HEADERS=X-B: " + secret, "WEIR_ADMIN_TOKEN=" + secret, "WEIR_ELASTICSEARCH_API_KEY_FILE=" + secretFile}})
	yaml, err := good.YAML()
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "token", good.Admin.Token, "config", good)
	shown := map[string]string{"yaml": string(yaml), "json": string(asJSON), "log": logged.String(), "%v": fmt.Sprintf("%v", good),
		"%+v": fmt.Sprintf("%+v", *good), "%#v": fmt.Sprintf("%#v", good.Admin), "%s": good.Admin.Token.String(), "%q": fmt.Sprintf("%q", good.Admin),
		"headers": fmt.Sprintf("%v %+v %#v %s", good.Elasticsearch, good.Elasticsearch, good.Elasticsearch, good.Elasticsearch.Headers)}
	for i, text := range []string{
		"elasticsearch: {password: *" + secret + "}", "elasticsearch: {password " + secret + "}",
		"elasticsearch: password:" + secret, "elasticsearch: {addresses: \"https://a:" + secret + "@b\"}",
		"admin: {token: [" + secret + "]}", "admin: {token: {" + secret + "/: 1}}", "elasticsearch: {password: " + secret + "}",
		"elasticsearch:\n  password: x\n  password:" + secret, "elasticsearch:\n  username: u\n  password: `" + secret,
		"elasticsearch: {api_key: " + secret + ", api_key_file: " + secretFile + "}",
		"elasticsearch: {headers: [\"X-A " + secret + "\"]}", "elasticsearch: {headers: [\"X A: " + secret + "\"]}", "elasticsearch: {headers: [\"te: " + secret + "\"]}",
		"elasticsearch: {proxy: \"ftp://u:" + secret + "@p\"}", "streams: {a: {elasticsearch: {addresses: \"http://u:" + secret + "@p\"}}}",
		"streams: {a: {elasticsearch: {headers: {" + secret + ": x}}}}",
	} {
		faults := loadFaults(t, text)
		if len(faults) == 0 {
			t.Errorf("no fault in %q", text)
		}
		shown[fmt.Sprintf("fault %d", i)] = strings.Join(faults, "\n")
	}
	for where, text := range shown {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows the secret: %s", where, text)
		}
	}
}

func TestParseBytes(t *testing.T) {
	tests := []struct {
		in   string
		want Bytes
	}{
		{"0", 0}, {"4096", 4096}, {"16MiB", 16 << 20}, {"16mib", 16 << 20}, {"16MB", 16e6}, {"1.5GiB", 3 << 29}, {"1 KiB", 1024}, {"2TB", 2e12}, {"7B", 7},
	}
	for _, tt := range tests {
		got, err := ParseBytes(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("ParseBytes(%q) = %d, %v, want %d", tt.in, got, err, tt.want)
		}
		if again, err := ParseBytes(got.String()); err != nil || again != got {
			t.Errorf("%d prints as %s, which reads as %d, %v", got, got, again, err)
		}
	}
}

func TestDuration_String_ReadsAsTheSame(t *testing.T) {
	for _, d := range []time.Duration{0, time.Millisecond, 90 * time.Second, 10 * time.Minute, 10 * time.Hour, time.Hour + 30*time.Second, 100 * time.Hour} {
		text := Duration(d).String()
		if got, err := ParseDuration(text); err != nil || got.Std() != d {
			t.Errorf("%v prints as %s, which reads as %v, %v", d, text, got, err)
		}
	}
	if got := Duration(10 * time.Minute).String(); got != "10m" {
		t.Errorf("ten minutes print as %s", got)
	}
}

func FuzzReadFileLayer(f *testing.F) {
	f.Add([]byte(contractFile))
	f.Add([]byte("a: &a [*a]\nstreams: {x: &x {transform: *x}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, fault := range readFileLayer("f", text).faults {
			if fault.Message == "" {
				t.Errorf("fault without words: %+v", fault)
			}
		}
	})
}
