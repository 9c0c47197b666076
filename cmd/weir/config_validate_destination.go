package main

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/elastic"
)

// connection checks the keys that say which server and how. prefix is the path of the section, with a dot at its end.
func (v *validator) connection(prefix string, es *ElasticsearchConfig) {
	for _, address := range es.Addresses {
		if err := checkServerURL(address, prefix); err != nil {
			v.add(prefix+"addresses", "%s", err)
		}
	}
	if es.CloudID != "" {
		if _, err := elastic.ParseCloudID(es.CloudID); err != nil {
			v.add(prefix+"cloud_id", "%s", err)
		}
		if len(es.Addresses) > 0 {
			v.add(prefix+"cloud_id", "a cloud id and addresses exclude each other; keep one")
		}
	}
	v.oneOf(prefix+"compression", es.Compression, "none", "gzip", "zstd")
	v.timeWithin(prefix+"request_timeout", es.RequestTimeout, 10*time.Millisecond, time.Hour)
	v.credentials(prefix, es)
	v.tls(prefix, es)
	if es.Proxy != "" {
		if u, err := elastic.ParseProxy(es.Proxy.Reveal()); err != nil {
			v.add(prefix+"proxy", "%s", err)
		} else if u.Scheme == "https" && es.CAFingerprint != "" {
			v.add(prefix+"proxy", "an https proxy has a certificate of its own, which %sca_fingerprint would refuse; use %sca_file", prefix, prefix)
		}
	}
}

func (v *validator) credentials(prefix string, es *ElasticsearchConfig) {
	if es.APIKey != "" && (es.Username != "" || es.Password != "") {
		v.add(prefix+"api_key", "an API key and a user name exclude each other; keep one")
	}
	if es.Username != "" && es.Password == "" && !v.bad[prefix+"password_file"] {
		v.add(prefix+"username", "needs %spassword or %spassword_file", prefix, prefix)
	}
	if es.Username == "" && es.Password != "" {
		v.add(prefix+"password", "needs %susername", prefix)
	}
	for _, line := range es.Headers {
		if name, _, _ := cutHeader(line); strings.EqualFold(name, "Authorization") && (es.APIKey != "" || es.Username != "") {
			v.add(prefix+"headers", "a header Authorization excludes an API key and a user name; keep one")
		}
	}
}

func (v *validator) tls(prefix string, es *ElasticsearchConfig) {
	if es.CAFingerprint != "" {
		if _, err := elastic.ParseFingerprint(es.CAFingerprint); err != nil {
			v.add(prefix+"ca_fingerprint", "%s", err)
		}
		if es.CAFile != "" {
			v.add(prefix+"ca_fingerprint", "a fingerprint and a file of authorities exclude each other; keep one")
		}
	}
	switch {
	case es.ClientCertFile != "" && es.ClientKeyFile == "":
		v.add(prefix+"client_cert_file", "needs %sclient_key_file", prefix)
	case es.ClientCertFile == "" && es.ClientKeyFile != "":
		v.add(prefix+"client_key_file", "needs %sclient_cert_file", prefix)
	}
}

// foreignConnection reports keys of the connection in a stream that names no server: which one they were meant for cannot be known.
func (v *validator) foreignConnection(prefix string) {
	for _, name := range connectionKeys {
		if o, set := v.cfg.origins[prefix+name]; set && o.derived == "" {
			v.add(prefix+name, "is about a connection, and the stream has none of its own: name %saddresses or %scloud_id as well, or set the global key", prefix, prefix)
		}
	}
}

// routing checks the keys that say what goes to a server. What a stream took over was checked where it stands.
func (v *validator) routing(prefix string, es *ElasticsearchConfig) {
	own := func(name string) bool { return v.cfg.origins[prefix+name].derived == "" }
	check := func(name string, f func()) {
		if own(name) {
			f()
		}
	}
	check("index", func() {
		if err := checkIndex(es.Index, false); err != nil {
			v.add(prefix+"index", "%s", err)
		}
	})
	check("allowed_indices", func() {
		for _, pattern := range es.AllowedIndices {
			if err := checkIndex(pattern, true); err != nil {
				v.add(prefix+"allowed_indices", "%s", err)
			}
		}
	})
	check("op", func() {
		v.oneOf(prefix+"op", es.Op, string(flush.OpCreate), string(flush.OpIndex))
		if es.RequireDataStream && flush.Op(es.Op) == flush.OpIndex {
			v.add(prefix+"op", "data streams take no index, and require_data_stream is set; keep one")
		}
	})
	check("id", func() {
		v.oneOf(prefix+"id", es.ID, string(flush.IDAuto), string(flush.IDField), string(flush.IDNone))
	})
	check("failure_store", func() {
		v.oneOf(prefix+"failure_store", es.FailureStore, string(flush.FailureStoreAccept), string(flush.FailureStoreDeadLetter))
	})
	check("pipeline", func() {
		if es.Pipeline != strings.TrimSpace(es.Pipeline) || strings.ContainsFunc(es.Pipeline, func(r rune) bool { return r < ' ' }) {
			v.add(prefix+"pipeline", "%q cannot name a pipeline", es.Pipeline)
		}
	})
	if own("id") || own("id_field") {
		v.ids(prefix, es, own("id"))
	}
}

// ids checks the two keys about ids against each other, at the one that was set here.
func (v *validator) ids(prefix string, es *ElasticsearchConfig, idIsOwn bool) {
	key := prefix + "id_field"
	if idIsOwn {
		key = prefix + "id"
	}
	switch {
	case flush.IDMode(es.ID) == flush.IDField && es.IDField == "":
		v.add(key, "field takes ids from %sid_field, which is empty; name the field", prefix)
	case flush.IDMode(es.ID) == flush.IDNone && es.IDField != "":
		v.add(key, "none leaves ids to the server, and %sid_field (%s) names a field for them; keep one", prefix, es.IDField)
	}
}

// checkServerURL never repeats an address that holds credentials.
func checkServerURL(address, prefix string) error {
	u, err := url.Parse(address)
	if strings.Contains(address, "@") {
		return fmt.Errorf("an address must not hold a user name or password; use %susername and %spassword", prefix, prefix)
	}
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%q is not a URL; write for example https://es.example.org:9200", address)
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q ends in a query; write only scheme, host, port and path", address)
	}
	return nil
}
