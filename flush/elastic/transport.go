package elastic

import (
	"log/slog"
	"net/http"
	"sync"
)

const productHeader = "X-Elastic-Product"

// roundTripper stands between the client and the connections.
//
// The client refuses every server whose answers lack the product header, after the server has done what was asked:
// a bulk that returns that error is stored. OpenSearch sends no such header, so it is added here to
// successful answers; the bulk API that is used is the same in both.
type roundTripper struct {
	next    *http.Transport
	log     *slog.Logger
	foreign sync.Once
}

var _ http.RoundTripper = (*roundTripper)(nil)

// RoundTrip sends one request.
func (t *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	if body, ok := req.Body.(*bodyReader); ok {
		// The library does not know the type and would send chunks of unknown total.
		req.ContentLength = body.bulk.size
		req.GetBody = body.bulk.again
	}
	res, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 == 2 && res.Header.Get(productHeader) == "" {
		t.foreign.Do(func() {
			t.log.Info("destination does not call itself Elasticsearch; its plain bulk API is used",
				"host", req.URL.Host)
		})
		res.Header.Set(productHeader, "Elasticsearch")
	}
	return res, nil
}
