package elastic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Compression says how request bodies travel.
type Compression string

// The compressions.
const (
	CompressionNone Compression = "none"
	CompressionGzip Compression = "gzip"
	// CompressionZstd costs less than gzip and packs better. Only OpenSearch reads it: with any other product, or one that
	// does not say what it is, gzip is used instead.
	CompressionZstd Compression = "zstd"
)

// Options configure a Sink.
type Options struct {
	// Addresses are the base URLs of the cluster's nodes, e.g. https://es1:9200; at least one, unless there is a CloudID.
	// Requests go to them in turn; one that fails rests for a while. A path is kept as a prefix.
	Addresses []string
	// CloudID names a deployment of Elastic Cloud in place of Addresses. "" means none.
	CloudID string
	// Username and Password are sent as basic authentication; both or none. User information in an
	// address takes precedence for that address.
	Username string
	Password string
	// APIKey is the encoded form of an API key; not together with Username. "" means none.
	APIKey string
	// Headers go with every request. Their values are secrets: nothing shows them. nil means none.
	Headers http.Header
	// CAFile is a PEM file of certificate authorities that are trusted instead of the system's. "" means the system's.
	CAFile string
	// CAFingerprint is the SHA-256 of the one authority that is trusted, in hex digits with or without colons, which a server
	// must send in its chain; certificates of nodes must be its own or signed by it, and bear the node's name. Not
	// together with CAFile. "" means none.
	CAFingerprint string
	// ClientCertFile and ClientKeyFile are PEM files of what this side shows; both or none. They are read again for each new
	// connection, so that a renewed certificate needs no restart.
	ClientCertFile string
	ClientKeyFile  string
	// ProxyURL is the proxy of all requests: http, https or socks5, with user information where it wants some. Default
	// (""): what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say.
	ProxyURL string
	// RequireDataStream makes the server refuse documents for what is no data stream, instead of making an index.
	// Elasticsearch from 8.13 knows it.
	RequireDataStream bool
	// MaxInFlight is how many Sends will be under way at a time: as many connections are kept to each node. Default (zero): 64.
	MaxInFlight int
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
	defaultMaxInFlight    = 64
	dialTimeout           = 10 * time.Second
	idleConnTimeout       = 50 * time.Second // load balancers commonly hang up after 60s
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
	if o.MaxInFlight == 0 {
		o.MaxInFlight = defaultMaxInFlight
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// validate returns the addresses as URLs, or all faults at once. No fault repeats an address or a header: they may hold a secret.
func (o Options) validate() ([]*url.URL, error) {
	urls, faults := o.addresses()
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if (o.Username == "") != (o.Password == "") {
		fault("user name and password belong together, one of them is missing")
	}
	if o.Username != "" && o.APIKey != "" {
		fault("user name and API key exclude each other")
	}
	for name, values := range o.Headers {
		for _, value := range values {
			if err := CheckHeader(name, value); err != nil {
				faults = append(faults, err)
			}
		}
		if http.CanonicalHeaderKey(name) == "Authorization" && (o.Username != "" || o.APIKey != "") {
			fault("a header Authorization excludes user name and API key")
		}
	}
	if o.CAFile != "" && o.CAFingerprint != "" {
		fault("CA file and CA fingerprint exclude each other")
	}
	if _, err := ParseFingerprint(o.CAFingerprint); err != nil && o.CAFingerprint != "" {
		faults = append(faults, err)
	}
	if (o.ClientCertFile == "") != (o.ClientKeyFile == "") {
		fault("client certificate and client key belong together, one of them is missing")
	}
	if err := o.checkProxy(); err != nil {
		faults = append(faults, err)
	}
	if o.RequestTimeout < 0 {
		fault("request timeout %s is negative", o.RequestTimeout)
	}
	if o.MaxInFlight < 0 {
		fault("%d requests in flight is negative", o.MaxInFlight)
	}
	switch o.Compression {
	case CompressionNone, CompressionGzip, CompressionZstd:
	default:
		fault("compression %q is not one of none, gzip, zstd", o.Compression)
	}
	return urls, errors.Join(faults...)
}

// addresses returns where requests go.
func (o Options) addresses() (urls []*url.URL, faults []error) {
	if o.CloudID != "" {
		if len(o.Addresses) > 0 {
			faults = append(faults, errors.New("addresses and cloud id exclude each other"))
		}
		u, err := ParseCloudID(o.CloudID)
		if err != nil {
			return nil, append(faults, err)
		}
		return []*url.URL{u}, faults
	}
	if len(o.Addresses) == 0 {
		faults = append(faults, errors.New("no address given"))
	}
	for i, address := range o.Addresses {
		u, err := parseAddress(address)
		if err != nil {
			faults = append(faults, fmt.Errorf("address %d: %w", i+1, err))
			continue
		}
		urls = append(urls, u)
	}
	return urls, faults
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

// ParseProxy returns the proxy's URL. Errors do not repeat it: it may hold a password.
func ParseProxy(proxy string) (*url.URL, error) {
	u, err := url.Parse(proxy)
	if err != nil || u.Hostname() == "" {
		return nil, errors.New("proxy is not a URL like http://proxy:3128")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return u, nil
	}
	return nil, errors.New("scheme of the proxy is not one of http, https, socks5, write http://proxy:3128")
}

func (o Options) checkProxy() error {
	if o.ProxyURL == "" {
		return nil
	}
	u, err := ParseProxy(o.ProxyURL)
	if err == nil && u.Scheme == "https" && o.CAFingerprint != "" {
		return errors.New("an https proxy and a CA fingerprint exclude each other: the proxy has a certificate of its own")
	}
	return err
}

// httpTransport returns the settings of the connections to one host. HTTP/1.1 only: that is what the servers speak.
func (o Options) httpTransport(host string) (*http.Transport, error) {
	tlsConfig, err := o.tlsConfig(host)
	if err != nil {
		return nil, err
	}
	proxy := http.ProxyFromEnvironment
	if o.ProxyURL != "" {
		u, err := ParseProxy(o.ProxyURL)
		if err != nil {
			return nil, err
		}
		proxy = http.ProxyURL(u)
	}
	return &http.Transport{
		Proxy:               proxy,
		DialContext:         o.Dial,
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: dialTimeout,
		// Answers are short after filter_path; unpacking them would cost both sides more than it saves.
		DisableCompression:  true,
		MaxIdleConns:        0,
		MaxIdleConnsPerHost: o.MaxInFlight,
		IdleConnTimeout:     idleConnTimeout,
		WriteBufferSize:     64 << 10,
		ReadBufferSize:      32 << 10,
	}, nil
}
