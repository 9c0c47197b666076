package elastic

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weirlog/weir/flush"
)

// Sink sends documents to an Elasticsearch or OpenSearch cluster. Safe for concurrent use.
type Sink struct {
	nodes             *nodes
	detected          *detection
	name              string
	timeout           time.Duration
	compression       Compression
	requireDataStream bool
	metrics           *Metrics
	now               func() time.Time
}

var _ flush.Sink = (*Sink)(nil)

// New returns a sink for opts, or all faults of opts at once. It does not connect; Ping does.
func New(opts Options) (*Sink, error) {
	opts = opts.withDefaults()
	urls, err := opts.validate()
	if err != nil {
		return nil, fmt.Errorf("elasticsearch options: %w", err)
	}
	s := &Sink{
		nodes:             &nodes{now: time.Now},
		detected:          newDetection(opts.Logger, time.Now),
		name:              hostList(urls),
		timeout:           opts.RequestTimeout,
		compression:       opts.Compression,
		requireDataStream: opts.RequireDataStream,
		metrics:           opts.Metrics,
		now:               time.Now,
	}
	for _, u := range urls {
		transport, err := opts.httpTransport(u.Hostname())
		if err != nil {
			return nil, fmt.Errorf("elasticsearch options: %w", err)
		}
		client, err := opts.newClient(u, transport)
		if err != nil {
			return nil, err
		}
		s.nodes.all = append(s.nodes.all, &node{url: u, client: client, transport: transport})
	}
	return s, nil
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

// Nodes returns what is known of each address, in the order in which they were given.
func (s *Sink) Nodes() []NodeStatus { return s.nodes.status() }

// Close ends idle connections. Sends in flight go on.
func (s *Sink) Close() error {
	s.nodes.closeIdle()
	return nil
}

// Send makes one bulk request of docs and returns what became of each, in their order, or a
// *flush.RequestError. It returns promptly when ctx ends; nothing is known of the documents then.
func (s *Sink) Send(ctx context.Context, docs []flush.Document) ([]flush.Outcome, error) {
	return s.send(ctx, docs, s.requireDataStream)
}

// send is Send; dataStreams says that nothing but data streams may take the documents.
func (s *Sink) send(ctx context.Context, docs []flush.Document, dataStreams bool) ([]flush.Outcome, error) {
	if len(docs) == 0 {
		return nil, nil
	}
	info, e := s.ready(ctx)
	if e != nil {
		return nil, e
	}
	sc := getScratch()
	defer sc.put()
	compression := s.detected.compression(s.compression)
	b, err := encode(docs, sc, compression)
	if err != nil {
		return nil, &flush.RequestError{Cause: causeEncode, Err: err}
	}
	defer b.release() // before sc.put: a connection may still be reading
	requestCtx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	res, n, f := s.do(ctx, requestCtx, bulkRequest(b, compression, dataStreams))
	if f != nil {
		return nil, f.RequestError
	}
	defer res.Body.Close()
	s.metrics.addSent(b.size)
	outcomes, e := s.readOutcomes(ctx, res, docs, sc, b.size, info)
	if e = s.answered(n, e); e != nil {
		return nil, s.withoutZstd(e, compression)
	}
	return outcomes, nil
}

// readOutcomes reads the answer to a bulk of docs.
func (s *Sink) readOutcomes(ctx context.Context, res *http.Response, docs []flush.Document, sc *scratch, sent int64, info Info) ([]flush.Outcome, *flush.RequestError) {
	if res.StatusCode != http.StatusOK {
		return nil, s.statusError(res.StatusCode, res.Header, readSome(res.Body))
	}
	if err := readAnswer(&sc.answer, res.Body, sent); err != nil {
		return nil, s.connectionError(ctx, err)
	}
	s.metrics.addReceived(sc.answer.Len())
	outcomes, ids, err := parseAnswer(sc.answer.Bytes(), docs, sc.ids, info.exact())
	sc.ids = ids
	if err != nil {
		return nil, &flush.RequestError{Cause: causeUntrusted, Status: res.StatusCode,
			Err: fmt.Errorf("answer cannot be trusted: %w: %s", err, describe(sc.answer.Bytes()))}
	}
	return outcomes, nil
}

// withoutZstd takes a refusal of a body of zstd for one of zstd itself, as it is where a proxy hides a server of another kind:
// splitting would end with every document refused.
func (s *Sink) withoutZstd(e *flush.RequestError, used Compression) *flush.RequestError {
	if used == CompressionZstd && (e.Status == http.StatusBadRequest || e.Status == http.StatusUnsupportedMediaType) {
		s.detected.refuseZstd()
		e.Verdict = flush.Retry
	}
	return e
}

func bulkRequest(b *bulk, compression Compression, dataStreams bool) request {
	r := request{method: http.MethodPost, path: "/_bulk", query: bulkQuery, header: bulkHeaders[compression], bulk: b}
	if dataStreams {
		r.query = strictBulkQuery
	}
	return r
}

var (
	bulkQuery       = url.Values{"filter_path": {filterPath}}
	strictBulkQuery = url.Values{"filter_path": {filterPath}, "require_data_stream": {"true"}}
	bulkHeaders     = map[Compression]http.Header{
		CompressionNone: bulkHeader(""), CompressionGzip: bulkHeader("gzip"), CompressionZstd: bulkHeader("zstd"),
	}
)

func bulkHeader(encoding string) http.Header {
	h := http.Header{"Content-Type": {"application/x-ndjson"}, "Accept": {"application/json"}}
	if encoding != "" {
		h["Content-Encoding"] = []string{encoding}
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
