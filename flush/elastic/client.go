package elastic

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/elastic/go-elasticsearch/v8"
)

// newClient returns the library's client for one node. It makes one try of each request and adds credentials and headers;
// which node is asked, and when again, is decided here and by the flusher.
func (o Options) newClient(u *url.URL, transport http.RoundTripper) (*elasticsearch.BaseClient, error) {
	header := http.Header{}
	for name, values := range o.Headers {
		header[http.CanonicalHeaderKey(name)] = values
	}
	header["User-Agent"] = []string{o.UserAgent}
	client, err := elasticsearch.NewBaseClient(elasticsearch.Config{
		Addresses: []string{u.String()}, // a user in it takes precedence
		Username:  o.Username, Password: o.Password, APIKey: o.APIKey,
		Header:            header,
		DisableRetry:      true,
		DisableMetaHeader: true,
		Transport:         productTransport{transport},
	})
	if err != nil {
		return nil, fmt.Errorf("make elasticsearch client: %w", err)
	}
	return client, nil
}

const productHeader = "X-Elastic-Product"

// productTransport stands between the library's client and the connections. The client refuses every server whose answers lack the
// product header, after the server has done what was asked: a bulk that returns that error is stored. OpenSearch sends no such
// header, so it is added here to successful answers. Which product it is, Ping and the first bulk find out.
type productTransport struct{ next http.RoundTripper }

var _ http.RoundTripper = productTransport{}

// RoundTrip sends one request.
func (t productTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 == 2 && res.Header.Get(productHeader) == "" {
		res.Header.Set(productHeader, "Elasticsearch")
	}
	return res, nil
}
