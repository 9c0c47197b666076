package main

import (
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/weirlog/weir/flush/elastic"
)

// connectionKeys are the keys of an elasticsearch section that say which server and how; the others say what goes there.
var connectionKeys = []string{"addresses", "cloud_id", "username", "password", "password_file", "api_key", "api_key_file", "headers", "ca_file",
	"ca_fingerprint", "client_cert_file", "client_key_file", "proxy", "request_timeout", "compression", "require_data_stream"}

// isConnectionKey reports whether a key, of the global section or of a stream, belongs to the connection.
func isConnectionKey(path string) bool {
	section, name, ok := cutLast(path)
	return ok && lastPart(section) == "elasticsearch" && slices.Contains(connectionKeys, name)
}

func cutLast(path string) (section, name string, ok bool) {
	at := strings.LastIndexByte(path, '.')
	if at < 0 {
		return "", path, false
	}
	return path[:at], path[at+1:], true
}

// OwnDestination reports whether the stream names a destination of its own.
func (c *Config) OwnDestination(stream string) bool {
	section := "streams." + stream + ".elasticsearch."
	for _, name := range []string{"addresses", "cloud_id"} {
		if o, set := c.origins[section+name]; set && o.derived == "" {
			return true
		}
	}
	return false
}

// Destination returns the section that says where the stream's documents go and how, and the path of its keys.
func (c *Config) Destination(stream string) (*ElasticsearchConfig, string) {
	if c.OwnDestination(stream) {
		s := c.Streams[stream].Elasticsearch
		return &s, "streams." + stream + ".elasticsearch."
	}
	return &c.Elasticsearch, "elasticsearch."
}

// destination is a server, or the embedded store, and the streams that go there.
type destination struct {
	es      *ElasticsearchConfig
	prefix  string // of the keys that describe it
	streams []string
}

// Destinations returns every distinct destination, in the order of its first stream. Streams with equal connections share one.
func (c *Config) Destinations() []*destination {
	var list []*destination
	for _, stream := range c.StreamNames() {
		es, prefix := c.Destination(stream)
		at := slices.IndexFunc(list, func(d *destination) bool { return d.es.sameConnection(es) })
		if at < 0 {
			at = len(list)
			list = append(list, &destination{es: es, prefix: prefix})
		}
		list[at].streams = append(list[at].streams, stream)
	}
	return list
}

// Embedded reports whether documents of any stream go to the embedded destination.
func (c *Config) Embedded() bool {
	return slices.ContainsFunc(c.Destinations(), func(d *destination) bool { return d.es.embedded() })
}

func (es *ElasticsearchConfig) embedded() bool { return len(es.Addresses) == 0 && es.CloudID == "" }

func (es *ElasticsearchConfig) sameConnection(other *ElasticsearchConfig) bool {
	return es.embedded() && other.embedded() || reflect.DeepEqual(es.options(), other.options())
}

// options returns what the client is told; secrets are in it.
func (es *ElasticsearchConfig) options() elastic.Options {
	headers := http.Header{}
	for _, line := range es.Headers {
		name, value, _ := cutHeader(line)
		headers.Add(name, value)
	}
	return elastic.Options{
		Addresses: es.Addresses, CloudID: es.CloudID, Username: es.Username, Password: es.Password.Reveal(), APIKey: es.APIKey.Reveal(), Headers: headers,
		CAFile: es.CAFile, CAFingerprint: es.CAFingerprint, ClientCertFile: es.ClientCertFile, ClientKeyFile: es.ClientKeyFile, ProxyURL: es.Proxy.Reveal(),
		RequestTimeout: es.RequestTimeout.Std(), Compression: elastic.Compression(es.Compression), RequireDataStream: es.RequireDataStream,
	}
}

// hosts names where the section's documents go, without credentials and paths.
func (es *ElasticsearchConfig) hosts() string {
	if es.CloudID != "" {
		if u, err := elastic.ParseCloudID(es.CloudID); err == nil {
			return u.Host
		}
		return "cloud_id"
	}
	hosts := make([]string, len(es.Addresses))
	for i, address := range es.Addresses {
		_, host, ok := strings.Cut(address, "://")
		if !ok {
			host = address
		}
		hosts[i] = host[strings.LastIndex(host, "@")+1:]
	}
	return strings.Join(hosts, ",")
}
