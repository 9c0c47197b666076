package main

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/lua"
)

// Config is the whole configuration after all layers: defaults, file, environment, flags. Nothing
// else in weir reads files, environment or flags; every package is given its own Options made from
// this. docs/configuration.md describes each key, and a test keeps the two together.
type Config struct {
	DataDir         string                  `koanf:"data_dir"`
	ShutdownTimeout Duration                `koanf:"shutdown_timeout"`
	Ingest          IngestConfig            `koanf:"ingest"`
	WAL             WALConfig               `koanf:"wal"`
	Transform       TransformConfig         `koanf:"transform"`
	Elasticsearch   ElasticsearchConfig     `koanf:"elasticsearch"`
	Flush           FlushConfig             `koanf:"flush"`
	DeadLetters     DeadLettersConfig       `koanf:"dead_letters"`
	Store           StoreConfig             `koanf:"store"`
	Admin           AdminConfig             `koanf:"admin"`
	Streams         map[string]StreamConfig `koanf:"streams"`
	Log             LogConfig               `koanf:"log"`

	origins origins // where each value comes from; nil in a Config made by hand
}

// IngestConfig is the HTTP edge.
type IngestConfig struct {
	Listen           []string `koanf:"listen"`
	SocketMode       FileMode `koanf:"socket_mode"`
	MaxEventBytes    Bytes    `koanf:"max_event_bytes"`
	MaxBodyBytes     Bytes    `koanf:"max_body_bytes"`
	MaxInFlightBytes Bytes    `koanf:"max_in_flight_bytes"`
	IdleTimeout      Duration `koanf:"idle_timeout"`
	ReadTimeout      Duration `koanf:"read_timeout"`
}

// WALConfig is the log.
type WALConfig struct {
	SegmentBytes Bytes `koanf:"segment_bytes"`
	MaxBytes     Bytes `koanf:"max_bytes"`
	MinFreeBytes Bytes `koanf:"min_free_bytes"`
}

// TransformConfig is the script of every stream that names none of its own, and how scripts come into force and out of it.
type TransformConfig struct {
	Script            string   `koanf:"script"`
	Timeout           Duration `koanf:"timeout"`
	MaxMemory         Bytes    `koanf:"max_memory"`
	ShadowEvents      int      `koanf:"shadow_events"`
	RollbackErrorRate Share    `koanf:"rollback_error_rate"`
	RollbackMinEvents int      `koanf:"rollback_min_events"`
	RollbackWindow    Duration `koanf:"rollback_window"`
	VersionField      string   `koanf:"version_field"`
}

// StreamTransformConfig is the script of one stream, and what it may use for an event.
type StreamTransformConfig struct {
	Script    string   `koanf:"script"`
	Timeout   Duration `koanf:"timeout"`
	MaxMemory Bytes    `koanf:"max_memory"`
}

// ElasticsearchConfig is a destination and what goes there. The global section holds for every stream; a section of a stream
// changes keys of delivery, or, with addresses or a cloud id, names a destination of its own.
type ElasticsearchConfig struct {
	// Keys of the connection. A destination of a stream's own takes none of them from the global section: credentials
	// must never travel to another server.
	Addresses         []string   `koanf:"addresses"`
	CloudID           string     `koanf:"cloud_id"`
	Username          string     `koanf:"username"`
	Password          Secret     `koanf:"password"`
	PasswordFile      string     `koanf:"password_file"`
	APIKey            Secret     `koanf:"api_key"`
	APIKeyFile        string     `koanf:"api_key_file"`
	Headers           HeaderList `koanf:"headers"`
	CAFile            string     `koanf:"ca_file"`
	CAFingerprint     string     `koanf:"ca_fingerprint"`
	ClientCertFile    string     `koanf:"client_cert_file"`
	ClientKeyFile     string     `koanf:"client_key_file"`
	Proxy             Secret     `koanf:"proxy"` // may hold a password
	RequestTimeout    Duration   `koanf:"request_timeout"`
	Compression       string     `koanf:"compression"`
	RequireDataStream bool       `koanf:"require_data_stream"`

	// Keys of delivery.
	Index          string   `koanf:"index"`
	Op             string   `koanf:"op"`
	ID             string   `koanf:"id"`
	IDField        string   `koanf:"id_field"`
	Pipeline       string   `koanf:"pipeline"`
	FailureStore   string   `koanf:"failure_store"`
	AllowedIndices []string `koanf:"allowed_indices"`
	Timestamp      bool     `koanf:"timestamp"`
}

// FlushConfig is the delivery loop.
type FlushConfig struct {
	BatchBytes       Bytes    `koanf:"batch_bytes"`
	BatchEvents      int      `koanf:"batch_events"`
	Linger           Duration `koanf:"linger"`
	MaxInFlightBytes Bytes    `koanf:"max_in_flight_bytes"`
	MaxInFlight      int      `koanf:"max_in_flight"`
	RetryMin         Duration `koanf:"retry_min"`
	RetryMax         Duration `koanf:"retry_max"`
	ParkTimeout      Duration `koanf:"park_timeout"`
	MaxAttempts      int      `koanf:"max_attempts"`
	MaxAge           Duration `koanf:"max_age"`
}

// What dead letters at max_bytes do.
const (
	onFullBlock      = "block"
	onFullDropOldest = "drop_oldest"
)

// DeadLettersConfig bounds what is kept of events that cannot be delivered.
type DeadLettersConfig struct {
	MaxBytes        Bytes    `koanf:"max_bytes"`
	OnFull          string   `koanf:"on_full"`
	MaxAge          Duration `koanf:"max_age"`
	RefusedMaxBytes Bytes    `koanf:"refused_max_bytes"`
}

// StoreConfig is the embedded destination.
type StoreConfig struct {
	MaxBytes Bytes `koanf:"max_bytes"`
}

// AdminConfig is the listener for operators.
type AdminConfig struct {
	Listen    string `koanf:"listen"`
	Token     Secret `koanf:"token"`
	TokenFile string `koanf:"token_file"`
}

// LogConfig is what the service says about itself.
type LogConfig struct {
	Level  string `koanf:"level"`
	Format string `koanf:"format"`
}

// StreamConfig is what one stream does in its own way. After loading, every field holds the value in
// force: what the stream does not set is filled in from the global key of the same name.
type StreamConfig struct {
	Transform     StreamTransformConfig `koanf:"transform"`
	Elasticsearch ElasticsearchConfig   `koanf:"elasticsearch"`
}

// DefaultStream is the stream of POST /ingest; it exists in every configuration.
const DefaultStream = "default"

// DefaultConfig returns what holds without file, environment and flags.
func DefaultConfig() Config {
	return Config{
		DataDir:         "./data",
		ShutdownTimeout: Duration(10 * time.Second),
		Ingest: IngestConfig{
			Listen:           []string{"127.0.0.1:8080"},
			SocketMode:       0o660,
			MaxEventBytes:    1 << 20,
			MaxBodyBytes:     32 << 20,
			MaxInFlightBytes: 64 << 20,
			IdleTimeout:      Duration(10 * time.Minute),
			ReadTimeout:      Duration(30 * time.Second),
		},
		WAL: WALConfig{SegmentBytes: 4 << 20, MaxBytes: 10 << 30, MinFreeBytes: 256 << 20},
		Transform: TransformConfig{
			Timeout:           Duration(lua.DefaultTimeout),
			MaxMemory:         lua.DefaultMaxMemory,
			ShadowEvents:      1000,
			RollbackErrorRate: 0.05,
			RollbackMinEvents: lua.DefaultRollbackMinEvents,
			RollbackWindow:    Duration(lua.DefaultRollbackWindow),
		},
		Elasticsearch: ElasticsearchConfig{
			Addresses:      []string{},
			Headers:        HeaderList{},
			RequestTimeout: Duration(time.Minute),
			Compression:    "none",
			Index:          "logs-weir-default",
			Op:             string(flush.OpCreate),
			ID:             string(flush.IDAuto),
			FailureStore:   string(flush.FailureStoreAccept),
			AllowedIndices: []string{},
			Timestamp:      true,
		},
		Flush: FlushConfig{
			BatchBytes:       5 << 20,
			BatchEvents:      5000,
			Linger:           Duration(time.Second),
			MaxInFlightBytes: 16 << 20,
			MaxInFlight:      4,
			RetryMin:         Duration(100 * time.Millisecond),
			RetryMax:         Duration(30 * time.Second),
			ParkTimeout:      Duration(10 * time.Minute),
		},
		DeadLetters: DeadLettersConfig{MaxBytes: 1 << 30, OnFull: onFullBlock, RefusedMaxBytes: 64 << 20},
		Store:       StoreConfig{MaxBytes: 1 << 30},
		Admin:       AdminConfig{Listen: "127.0.0.1:8081"},
		Log:         LogConfig{Level: "info", Format: "text"},
	}
}

// StreamNames returns the declared streams, sorted; DefaultStream is always among them.
func (c *Config) StreamNames() []string {
	return slices.Sorted(maps.Keys(c.Streams))
}

// StreamIndex returns the index that the stream's documents go to, {stream} filled in. A date in it is left as it is
// written, 2006.01.02: it is that of each event.
func (c *Config) StreamIndex(stream string) string {
	return strings.ReplaceAll(c.delivery(stream).Index, "{stream}", stream)
}

// delivery returns the section that says how the stream's documents are delivered.
func (c *Config) delivery(stream string) *ElasticsearchConfig {
	if s, ok := c.Streams[stream]; ok {
		return &s.Elasticsearch
	}
	return &c.Elasticsearch
}

// IndexPattern is StreamIndex with a star for the date.
func (c *Config) IndexPattern(stream string) string {
	index := c.delivery(stream).Index
	if from, to, ok := flush.DatePattern(index); ok { // before {stream}: the stream's name may look like a date
		index = index[:from] + "*" + index[to:]
	}
	return strings.ReplaceAll(index, "{stream}", stream)
}

// AllowedIndices returns the patterns that an index chosen by the stream's script must match: the
// configured list, or without one the stream's own index and logs-*.
func (c *Config) AllowedIndices(stream string) []string {
	list := c.delivery(stream).AllowedIndices
	if len(list) == 0 {
		return []string{c.IndexPattern(stream), "logs-*"}
	}
	patterns := make([]string, len(list))
	for i, pattern := range list {
		patterns[i] = strings.ReplaceAll(pattern, "{stream}", stream)
	}
	return patterns
}
