package main

import (
	"maps"
	"slices"
	"strings"
	"time"
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

// TransformConfig is the script of every stream that names none of its own.
type TransformConfig struct {
	Script    string   `koanf:"script"`
	Timeout   Duration `koanf:"timeout"`
	MaxMemory Bytes    `koanf:"max_memory"`
}

// ElasticsearchConfig is the destination; without addresses the embedded one is used.
type ElasticsearchConfig struct {
	Addresses      []string `koanf:"addresses"`
	Index          string   `koanf:"index"`
	IDField        string   `koanf:"id_field"`
	AllowedIndices []string `koanf:"allowed_indices"`
	Timestamp      bool     `koanf:"timestamp"`
	Username       string   `koanf:"username"`
	Password       Secret   `koanf:"password"`
	PasswordFile   string   `koanf:"password_file"`
	APIKey         Secret   `koanf:"api_key"`
	APIKeyFile     string   `koanf:"api_key_file"`
	CAFile         string   `koanf:"ca_file"`
	RequestTimeout Duration `koanf:"request_timeout"`
	Compression    string   `koanf:"compression"`
}

// FlushConfig is the delivery loop.
type FlushConfig struct {
	BatchBytes       Bytes    `koanf:"batch_bytes"`
	BatchEvents      int      `koanf:"batch_events"`
	Linger           Duration `koanf:"linger"`
	MaxInFlightBytes Bytes    `koanf:"max_in_flight_bytes"`
	Workers          int      `koanf:"workers"`
	RetryMin         Duration `koanf:"retry_min"`
	RetryMax         Duration `koanf:"retry_max"`
}

// DeadLettersConfig bounds what is kept of events that cannot be delivered.
type DeadLettersConfig struct {
	MaxBytes        Bytes `koanf:"max_bytes"`
	RefusedMaxBytes Bytes `koanf:"refused_max_bytes"`
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
	Transform struct {
		Script string `koanf:"script"`
	} `koanf:"transform"`
	Elasticsearch struct {
		Index   string `koanf:"index"`
		IDField string `koanf:"id_field"`
	} `koanf:"elasticsearch"`
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
		WAL:       WALConfig{SegmentBytes: 4 << 20, MaxBytes: 10 << 30, MinFreeBytes: 256 << 20},
		Transform: TransformConfig{Timeout: Duration(100 * time.Millisecond), MaxMemory: 16 << 20},
		Elasticsearch: ElasticsearchConfig{
			Addresses:      []string{},
			Index:          "logs-weir-default",
			AllowedIndices: []string{},
			Timestamp:      true,
			RequestTimeout: Duration(time.Minute),
			Compression:    "none",
		},
		Flush: FlushConfig{
			BatchBytes:       5 << 20,
			BatchEvents:      5000,
			Linger:           Duration(time.Second),
			MaxInFlightBytes: 16 << 20,
			Workers:          4,
			RetryMin:         Duration(100 * time.Millisecond),
			RetryMax:         Duration(30 * time.Second),
		},
		DeadLetters: DeadLettersConfig{MaxBytes: 1 << 30, RefusedMaxBytes: 64 << 20},
		Store:       StoreConfig{MaxBytes: 1 << 30},
		Admin:       AdminConfig{Listen: "127.0.0.1:8081"},
		Log:         LogConfig{Level: "info", Format: "text"},
	}
}

// StreamNames returns the declared streams, sorted; DefaultStream is always among them.
func (c *Config) StreamNames() []string {
	return slices.Sorted(maps.Keys(c.Streams))
}

// StreamIndex returns the index that the stream's documents go to, {stream} filled in.
func (c *Config) StreamIndex(stream string) string {
	index := c.Elasticsearch.Index
	if s, ok := c.Streams[stream]; ok {
		index = s.Elasticsearch.Index
	}
	return strings.ReplaceAll(index, "{stream}", stream)
}

// AllowedIndices returns the patterns that an index chosen by the stream's script must match: the
// configured list, or without one the stream's own index and logs-*.
func (c *Config) AllowedIndices(stream string) []string {
	if len(c.Elasticsearch.AllowedIndices) > 0 {
		return slices.Clone(c.Elasticsearch.AllowedIndices)
	}
	return []string{c.StreamIndex(stream), "logs-*"}
}

// Embedded reports whether documents go to the embedded destination.
func (c *Config) Embedded() bool { return len(c.Elasticsearch.Addresses) == 0 }
