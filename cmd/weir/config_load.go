package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

// configSources is everything that a configuration is made of besides the defaults.
type configSources struct {
	File    string            // path of the YAML file; "" for none
	Environ []string          // as os.Environ returns it
	Flags   map[string]string // path of a key to the flag that sets it and its value, see flagValue
}

// flagValue is how a flag reaches the configuration: its name and what was written.
func flagValue(name, value string) string { return name + "=" + value }

// LoadConfig layers defaults, file, environment and flags and checks the result. When anything is
// wrong it returns a *ConfigError with every fault; the Config is then nil.
func LoadConfig(src configSources) (*Config, error) {
	cfg, faults := layerConfig(src)
	if len(faults) > 0 {
		return nil, &ConfigError{Faults: faults}
	}
	return cfg, nil
}

// layerConfig is LoadConfig for a caller that goes on with what is right: keys with a fault of their
// own hold the value of the layer below.
func layerConfig(src configSources) (*Config, []Fault) {
	l := newConfigLoader()
	l.loadFile(src.File)
	l.loadEnviron(src.Environ)
	l.loadFlags(src.Flags)
	l.deriveDefaults()
	cfg := l.decode()
	cfg.readFiles(l.fault)
	l.faults = append(l.faults, cfg.faults(l.bad)...)
	sortFaults(l.faults)
	return cfg, l.faults
}

type configLoader struct {
	layers  *koanf.Koanf
	origins origins
	streams []string
	faults  []Fault
	bad     map[string]bool // keys with a fault already; cross-checks leave them alone
}

func newConfigLoader() *configLoader {
	l := &configLoader{layers: koanf.New("."), origins: origins{}, streams: []string{DefaultStream}, bad: map[string]bool{}}
	l.merge(defaultValues())
	return l
}

func (l *configLoader) fault(f Fault) {
	l.faults = append(l.faults, f)
	l.bad[f.Key] = true
}

func (l *configLoader) merge(values map[string]any) {
	// confmap cannot fail: it reads from memory.
	if err := l.layers.Load(confmap.Provider(values, "."), nil); err != nil {
		panic(fmt.Sprintf("config: merge layer: %v", err))
	}
}

func (l *configLoader) loadFile(name string) {
	if name == "" {
		return
	}
	text, err := os.ReadFile(name)
	if err != nil {
		l.fault(Fault{Origin: origin{file: name}, Message: "cannot read the configuration file: " + reasonOf(err)})
		return
	}
	layer := readFileLayer(name, text)
	for _, f := range layer.faults {
		l.fault(f)
	}
	l.merge(layer.values)
	maps.Copy(l.origins, layer.origins)
	for stream, line := range layer.streams {
		l.origins["streams."+stream] = origin{file: name, line: line}
		l.streams = append(l.streams, stream)
	}
}

func (l *configLoader) loadEnviron(environ []string) {
	known := map[string]configKey{}
	for _, k := range configKeys {
		if v := k.variable(); v != "" {
			known[v] = k
		}
	}
	values := map[string]any{}
	for _, entry := range environ {
		name, raw, _ := strings.Cut(entry, "=")
		key, ok := known[name]
		if !ok {
			l.unknownVariable(name, known)
			continue
		}
		l.set(values, key, raw, origin{variable: name})
	}
	l.merge(values)
}

// serviceLink matches the variables that container platforms set for a service called weir-something.
var serviceLink = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT|PORT_[0-9]+_.*)$`)

// unknownVariable reports a variable that can only be a misspelt key. Others that begin with WEIR_
// belong to somebody else (WEIR_CONFIG, a container platform) and are left alone.
func (l *configLoader) unknownVariable(name string, known map[string]configKey) {
	rest, ours := strings.CutPrefix(name, "WEIR_")
	if !ours || serviceLink.MatchString(name) {
		return
	}
	if strings.HasPrefix(rest, "STREAMS") {
		l.fault(Fault{Origin: origin{variable: name}, Message: "streams are declared in the configuration file only"})
		return
	}
	near, distance := "", 3
	for v := range maps.Keys(known) {
		if d := editDistance(name, v); d < distance || d == distance && v < near {
			near, distance = v, d
		}
	}
	for path, now := range renamedKeys {
		if name == (configKey{path: path}).variable() {
			l.fault(Fault{Origin: origin{variable: name}, Message: "this key is gone; " + now})
			return
		}
	}
	if near != "" {
		l.fault(Fault{Origin: origin{variable: name}, Message: "unknown variable; did you mean " + near + "?"})
		return
	}
	for section := range configSections {
		prefix := strings.ToUpper(section) + "_"
		if section != "" && strings.HasPrefix(rest, prefix) {
			l.fault(Fault{Origin: origin{variable: name}, Message: "unknown variable; docs/configuration.md lists them all"})
			return
		}
	}
}

func (l *configLoader) loadFlags(flags map[string]string) {
	values := map[string]any{}
	for path, written := range flags {
		name, raw, _ := strings.Cut(written, "=")
		l.set(values, configKey{path, keyTypes[path]}, raw, origin{flag: name})
	}
	l.merge(values)
}

func (l *configLoader) set(values map[string]any, key configKey, raw string, from origin) {
	value, err := parseValue(key.typ, raw)
	if err != nil {
		l.fault(Fault{Origin: from, Key: key.path, Message: err.Error()})
		return
	}
	values[key.path] = value
	l.origins[key.path] = from
}

// deriveDefaults fills in the defaults that depend on other keys: those of streams, and a segment
// size that lets a small log have several segments (reclaim never takes the active one).
func (l *configLoader) deriveDefaults() {
	values, defaults := map[string]any{}, DefaultConfig()
	slices.Sort(l.streams)
	l.streams = slices.Compact(l.streams)
	for _, stream := range l.streams {
		own := l.layers.Exists("streams."+stream+".elasticsearch.addresses") || l.layers.Exists("streams."+stream+".elasticsearch.cloud_id")
		for _, k := range configKeys {
			name, ok := strings.CutPrefix(k.path, streamsPrefix)
			path := "streams." + stream + "." + name
			switch {
			case !ok || l.layers.Exists(path):
			case own && isConnectionKey(name): // nothing of the global connection, credentials least of all
				values[path] = defaults.value(name).Interface()
			default:
				values[path] = l.layers.Get(name)
				l.origins[path] = origin{derived: name}
			}
		}
	}
	limit, _ := l.layers.Get("wal.max_bytes").(Bytes)
	segment, _ := l.layers.Get("wal.segment_bytes").(Bytes)
	if _, set := l.origins["wal.segment_bytes"]; !set && limit > 0 && segment > limit/4 {
		values["wal.segment_bytes"] = max(limit/4, minSegmentBytes)
		l.origins["wal.segment_bytes"] = origin{derived: "wal.max_bytes"}
	}
	l.merge(values)
}

// decode fills a Config. The layers hold values of the right types already, so that a failure here is
// a mistake in this file.
func (l *configLoader) decode() *Config {
	cfg := &Config{origins: l.origins}
	err := l.layers.UnmarshalWithConf("", cfg, koanf.UnmarshalConf{
		Tag:           "koanf",
		DecoderConfig: &mapstructure.DecoderConfig{Result: cfg, TagName: "koanf", ErrorUnused: true},
	})
	if err != nil {
		panic(fmt.Sprintf("config: decode layers: %v", err))
	}
	return cfg
}

// readFiles reads the files that the configuration names for its own sake: credentials and
// certificates. Errors name the file, never what is in it.
func (c *Config) readFiles(fault func(Fault)) {
	f := fileReader{c, fault}
	f.secret("admin.token", c.Admin.TokenFile, &c.Admin.Token)
	f.destination("elasticsearch.", &c.Elasticsearch)
	for _, stream := range c.StreamNames() {
		s := c.Streams[stream]
		if c.OwnDestination(stream) {
			f.destination("streams."+stream+".elasticsearch.", &s.Elasticsearch)
		} else {
			s.Elasticsearch.Password, s.Elasticsearch.APIKey = c.Elasticsearch.Password, c.Elasticsearch.APIKey
		}
		c.Streams[stream] = s
	}
}

// fileReader reads files that keys name.
type fileReader struct {
	cfg   *Config
	fault func(Fault)
}

func (f fileReader) add(path, format string, args ...any) {
	f.fault(Fault{f.cfg.origins[path], path, fmt.Sprintf(format, args...)})
}

func (f fileReader) destination(prefix string, es *ElasticsearchConfig) {
	f.secret(prefix+"password", es.PasswordFile, &es.Password)
	f.secret(prefix+"api_key", es.APIKeyFile, &es.APIKey)
	if es.CAFile != "" {
		pem, err := os.ReadFile(es.CAFile)
		if err != nil {
			f.add(prefix+"ca_file", "cannot read %s: %s", es.CAFile, reasonOf(err))
		} else if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			f.add(prefix+"ca_file", "%s holds no certificate in PEM form", es.CAFile)
		}
	}
	if es.ClientCertFile == "" || es.ClientKeyFile == "" {
		return // that one of them is missing is said elsewhere
	}
	if _, err := tls.LoadX509KeyPair(es.ClientCertFile, es.ClientKeyFile); err != nil {
		f.add(prefix+"client_cert_file", "%s with the key %s: %s", es.ClientCertFile, es.ClientKeyFile, err)
	}
}

func (f fileReader) secret(path, file string, into *Secret) {
	if file == "" {
		return
	}
	filePath := path + "_file"
	if *into != "" {
		f.add(filePath, "%s is given as well; keep one of the two", path)
		return
	}
	text, err := os.ReadFile(file)
	value := bytes.TrimRight(text, "\r\n")
	switch {
	case err != nil:
		f.add(filePath, "cannot read %s: %s", file, reasonOf(err))
	case len(value) == 0 || bytes.ContainsAny(value, "\r\n\x00"):
		f.add(filePath, "%s must hold the secret on one line and nothing else", file)
	default:
		*into = Secret(value)
	}
}
