package elastic

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
	"github.com/elastic/go-elasticsearch/v8"
	"github.com/elastic/go-elasticsearch/v8/esapi"

	"github.com/weirlog/weir/flush"
)

// Sink sends documents to an Elasticsearch or OpenSearch cluster. Safe for concurrent use.
type Sink struct {
	client      *elasticsearch.BaseClient
	transport   *http.Transport
	name        string
	timeout     time.Duration
	compression Compression
	metrics     *Metrics
	now         func() time.Time
}

var _ flush.Sink = (*Sink)(nil)

// New returns a sink for opts, or all faults of opts at once. It does not connect; Ping does.
func New(opts Options) (*Sink, error) {
	opts = opts.withDefaults()
	urls, err := opts.validate()
	if err != nil {
		return nil, fmt.Errorf("elasticsearch options: %w", err)
	}
	transport, err := opts.httpTransport()
	if err != nil {
		return nil, fmt.Errorf("elasticsearch options: %w", err)
	}
	s := &Sink{
		transport:   transport,
		name:        hostList(urls),
		timeout:     opts.RequestTimeout,
		compression: opts.Compression,
		metrics:     opts.Metrics,
		now:         time.Now,
	}
	s.client, err = elasticsearch.NewBaseClient(opts.clientConfig(transport, opts.Logger))
	if err != nil {
		return nil, fmt.Errorf("make elasticsearch client: %w", err)
	}
	return s, nil
}

// clientConfig is what the client library is told: one try per request, no header of its own.
func (o Options) clientConfig(transport *http.Transport, log *slog.Logger) elasticsearch.Config {
	return elasticsearch.Config{
		Addresses:         o.Addresses,
		Username:          o.Username,
		Password:          o.Password,
		APIKey:            o.APIKey,
		Header:            http.Header{"User-Agent": {o.UserAgent}},
		DisableRetry:      true,
		DisableMetaHeader: true,
		Transport:         &roundTripper{next: transport, log: log},
		ConnectionPoolFunc: func(conns []*elastictransport.Connection, _ elastictransport.Selector) elastictransport.ConnectionPool {
			return newAddressPool(conns, time.Now)
		},
	}
}

// hostList names the hosts without credentials and paths.
func hostList(urls []*url.URL) string {
	hosts := make([]string, len(urls))
	for i, u := range urls {
		hosts[i] = u.Host
	}
	return strings.Join(hosts, ",")
}

// Name returns the hosts, comma-separated.
func (s *Sink) Name() string { return s.name }

// Close ends idle connections. Sends in flight go on; later ones fail.
func (s *Sink) Close() error {
	err := s.client.Close(context.Background())
	s.transport.CloseIdleConnections()
	return err
}

// Send makes one bulk request of docs and returns what became of each, in their order, or a
// *flush.RequestError. It returns promptly when ctx ends; nothing is known of the documents then.
func (s *Sink) Send(ctx context.Context, docs []flush.Document) ([]flush.Outcome, error) {
	if len(docs) == 0 {
		return nil, nil
	}
	sc := getScratch()
	defer sc.put()
	b, err := encode(docs, sc, s.compression)
	if err != nil {
		return nil, &flush.RequestError{Cause: causeEncode, Err: err}
	}
	defer b.release() // before sc.put: a connection may still be reading
	requestCtx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	res, err := esapi.BulkRequest{
		Body:       b.reader(),
		FilterPath: filterPath,
		Header:     s.bulkHeader(),
	}.Do(requestCtx, s.client)
	if err != nil {
		return nil, s.connectionError(ctx, err)
	}
	defer res.Body.Close()
	s.metrics.addSent(b.size)
	if res.StatusCode != http.StatusOK {
		return nil, s.statusError(res.StatusCode, res.Header, readSome(res.Body))
	}
	if err := readAnswer(&sc.answer, res.Body, b.size); err != nil {
		return nil, s.connectionError(ctx, err)
	}
	s.metrics.addReceived(sc.answer.Len())
	outcomes, ids, err := parseAnswer(sc.answer.Bytes(), docs, sc.ids)
	sc.ids = ids
	if err != nil {
		return nil, &flush.RequestError{Cause: causeUntrusted, Status: res.StatusCode,
			Err: fmt.Errorf("answer cannot be trusted: %w: %s", err, describe(sc.answer.Bytes()))}
	}
	return outcomes, nil
}

// bulkHeader returns a header of its own for each request: the client writes to it.
func (s *Sink) bulkHeader() http.Header {
	h := http.Header{
		"Content-Type": {"application/x-ndjson"},
		"Accept":       {"application/json"},
	}
	if s.compression == CompressionGzip {
		h["Content-Encoding"] = []string{"gzip"}
	}
	return h
}

const (
	// An answer holds about 60 bytes per document, or a reason that may quote the document; beyond this it is no
	// answer to what was sent.
	answerBase      = 4 << 20
	answerPerSent   = 8
	maxErrorBody    = 64 << 10
	maxDescribeBody = 200
)

// readAnswer reads a body into buf, bounded in proportion to what was sent.
func readAnswer(buf *bytes.Buffer, body io.Reader, sent int64) error {
	limit := answerBase + answerPerSent*sent
	buf.Reset()
	n, err := buf.ReadFrom(io.LimitReader(body, limit+1))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if n > limit {
		return errAnswerTooLong
	}
	return nil
}

// readSome reads as much of an error's body as is worth showing, and a little more, so that the
// connection can be used again.
func readSome(body io.Reader) []byte {
	b, _ := io.ReadAll(io.LimitReader(body, maxErrorBody)) // what arrived before a fault still says something
	return b
}
