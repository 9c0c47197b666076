package elastic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/elastic/go-elasticsearch/v8/esapi"

	"github.com/weirlog/weir/flush"
)

// Products that Ping tells apart.
const (
	ProductElasticsearch = "elasticsearch"
	ProductOpenSearch    = "opensearch"
	ProductCompatible    = "compatible" // answers like one of the two and calls itself neither
)

// Info is what a cluster says about itself.
type Info struct {
	Product string // one of the Product constants
	Version string // e.g. 8.19.21
	Cluster string // its name
}

// String returns e.g. `elasticsearch 8.19.21, cluster "logs"`.
func (i Info) String() string {
	return fmt.Sprintf("%s %s, cluster %q", i.Product, i.Version, i.Cluster)
}

// Ping asks one of the addresses who is there. Its errors are *flush.RequestError and say what
// to do. A key that may only write is refused here (403) and may deliver all the same.
func (s *Sink) Ping(ctx context.Context) (Info, error) {
	requestCtx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	res, err := esapi.InfoRequest{}.Do(requestCtx, s.client)
	if err != nil {
		return Info{}, s.advise(s.connectionError(ctx, err))
	}
	defer res.Body.Close()
	body := readSome(res.Body)
	if res.StatusCode != http.StatusOK {
		return Info{}, s.advise(s.statusError(res.StatusCode, res.Header, body))
	}
	info, err := parseInfo(body)
	if err != nil {
		return Info{}, &flush.RequestError{Cause: causeUntrusted, Status: res.StatusCode, Verdict: flush.Park,
			Err: fmt.Errorf("%s: %w", s.name, err)}
	}
	return info, nil
}

func parseInfo(body []byte) (Info, error) {
	var answer struct {
		Cluster string `json:"cluster_name"`
		Tagline string `json:"tagline"`
		Version struct {
			Number       string `json:"number"`
			Distribution string `json:"distribution"`
		} `json:"version"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Version.Number == "" {
		return Info{}, fmt.Errorf("this is neither Elasticsearch nor OpenSearch: %s", describe(body))
	}
	info := Info{
		Product: ProductCompatible,
		Version: printable([]byte(answer.Version.Number)),
		Cluster: printable([]byte(answer.Cluster)),
	}
	switch {
	case answer.Version.Distribution == "opensearch":
		info.Product = ProductOpenSearch
	case answer.Tagline == "You Know, for Search":
		info.Product = ProductElasticsearch
	}
	return info, nil
}

// advice says what to do about a cause.
var advice = map[string]string{
	causeRefused:     "nothing listens there: is it running, and is the port right?",
	causeTimeout:     "no answer in time: is the address right, and does a firewall stand between?",
	causeUnreachable: "no route to it: is the address right?",
	causeDNS:         "the name does not resolve: is it spelled right?",
	causeTLS:         "check http against https, the certificate's name, and the configured CA file",
	causeReset:       "it hung up: does it speak https while the address says http?",
	causeClosed:      "it hung up: does it speak https while the address says http?",
	causeUntrusted:   "is this the HTTP port of Elasticsearch or OpenSearch?",
	"status_401":     "check the user name and password or the API key",
	"status_403":     "the credentials are known but may not ask for the version (privilege monitor); delivery may work",
	"status_404":     "is the path of the address right?",
}

// advise adds hosts and advice to an error.
func (s *Sink) advise(e *flush.RequestError) *flush.RequestError {
	if errors.Is(e.Err, context.Canceled) {
		return e
	}
	text := strings.TrimSuffix(s.name+": "+advice[e.Cause], ": ")
	e.Err = fmt.Errorf("%s: %w", text, e.Err)
	return e
}
