package elastic

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Compression says how request bodies travel.
type Compression string

// The compressions.
const (
	CompressionNone Compression = "none"
	CompressionGzip Compression = "gzip"
)

// Options configure a Sink.
type Options struct {
	// Addresses are the base URLs of the cluster's nodes, e.g. https://es1:9200; at least one. Requests go
	// to them in turn; one that cannot be reached rests for a while. A path is kept as a prefix.
	Addresses []string
	// Username and Password are sent as basic authentication; both or none. User information in an
	// address takes precedence for that address.
	Username string
	Password string
	// APIKey is the encoded form of an API key; not together with Username. "" means none.
	APIKey string
	// CAFile is a PEM file of certificate authorities that are trusted instead of the system's. "" means the system's.
	CAFile string
	// RequestTimeout bounds one request with its answer. Default (zero): 60s.
	RequestTimeout time.Duration
	// Compression of request bodies. Default (""): none.
	Compression Compression
	// UserAgent names the sender. Default (""): weir.
	UserAgent string
	// Dial opens connections. Default (nil): TCP, with 10s to connect.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Logger takes what is said once about the destination. Default (nil): nowhere.
	Logger *slog.Logger
	// Metrics counts bytes. Default (nil): nothing is counted.
	Metrics *Metrics
}

const (
	defaultRequestTimeout = 60 * time.Second
	defaultUserAgent      = "weir"
	dialTimeout           = 10 * time.Second
	idleConnTimeout       = 50 * time.Second // load balancers commonly hang up after 60s
	maxIdleConnsPerHost   = 64
)

// withDefaults fills in what is zero.
func (o Options) withDefaults() Options {
	if o.RequestTimeout == 0 {
		o.RequestTimeout = defaultRequestTimeout
	}
	if o.Compression == "" {
		o.Compression = CompressionNone
	}
	if o.UserAgent == "" {
		o.UserAgent = defaultUserAgent
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// validate returns the addresses as URLs, or all faults at once.
func (o Options) validate() ([]*url.URL, error) {
	var urls []*url.URL
	var faults []error
	if len(o.Addresses) == 0 {
		faults = append(faults, errors.New("no address given"))
	}
	for i, address := range o.Addresses {
		u, err := parseAddress(address)
		if err != nil {
			// Never the address itself: it may hold a password.
			faults = append(faults, fmt.Errorf("address %d: %w", i+1, err))
			continue
		}
		urls = append(urls, u)
	}
	if (o.Username == "") != (o.Password == "") {
		faults = append(faults, errors.New("user name and password belong together, one of them is missing"))
	}
	if o.Username != "" && o.APIKey != "" {
		faults = append(faults, errors.New("user name and API key exclude each other"))
	}
	if o.RequestTimeout < 0 {
		faults = append(faults, fmt.Errorf("request timeout %s is negative", o.RequestTimeout))
	}
	if o.Compression != CompressionNone && o.Compression != CompressionGzip {
		faults = append(faults, fmt.Errorf("compression %q is not one of none, gzip", o.Compression))
	}
	return urls, errors.Join(faults...)
}

func parseAddress(address string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(address, "/"))
	if err != nil {
		return nil, errors.New("not a URL like https://host:9200")
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("scheme is not http or https, write https://host:9200")
	}
	if u.Hostname() == "" {
		return nil, errors.New("names no host, write https://host:9200")
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("holds a query or a fragment, write https://host:9200")
	}
	return u, nil
}

// httpTransport returns the connections' settings. HTTP/1.1 only: that is what the servers speak.
func (o Options) httpTransport() (*http.Transport, error) {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read certificate authorities: %w", err)
		}
		tlsConfig.RootCAs = x509.NewCertPool()
		if !tlsConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no PEM certificate", o.CAFile)
		}
	}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         o.Dial,
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: dialTimeout,
		// Answers are short after filter_path; unpacking them would cost both sides more than it saves.
		DisableCompression:  true,
		MaxIdleConns:        0,
		MaxIdleConnsPerHost: maxIdleConnsPerHost,
		IdleConnTimeout:     idleConnTimeout,
		WriteBufferSize:     64 << 10,
		ReadBufferSize:      32 << 10,
	}, nil
}
