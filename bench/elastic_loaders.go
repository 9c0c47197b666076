package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elastic/go-elasticsearch/v8"
	"github.com/elastic/go-elasticsearch/v8/esutil"
	"golang.org/x/sync/errgroup"

	"github.com/weirlog/weir/bench/report"
)

// loaderSettings are what can be chosen of the loaders beside weir.
type loaderSettings struct {
	connections int
	bodyBytes   int
}

func (s loaderSettings) String() string {
	return fmt.Sprintf("%d connections, %g MB", s.connections, float64(s.bodyBytes)/1e6)
}

// loaderTarget is a loader beside weir. It runs in this process, and what it sends is made before the clock starts.
func loaderTarget(name string, s loaderSettings) elasticTarget {
	t := elasticTarget{name: name}
	t.prepare = func(_ context.Context, e *elasticLab, _, index string, c *elasticCase) (*elasticWork, error) {
		w := &elasticWork{usage: func() (usage, error) {
			u, err := readUsage(os.Getpid())
			u.peak = 0 // what it holds ready would be counted
			return u, err
		}}
		docs := makeDocuments(e.requests, e.flags.documents)
		if name == report.PlainLoop {
			bodies := bulkBodies(docs, index, c.ids, s.bodyBytes)
			w.run = func(ctx context.Context) error { return plainLoop(ctx, e.flags.url, bodies, s.connections) }
			return w, nil
		}
		items := bulkItems(docs, c.ids)
		w.run = func(ctx context.Context) error { return bulkIndexer(ctx, e.flags.url, index, items, s) }
		return w, nil
	}
	return t
}

// plainLoop posts bodies over connections and looks at the status only: the least that a loader can do. The answer
// is as short as the server makes it.
func plainLoop(ctx context.Context, url string, bodies [][]byte, connections int) error {
	transport := &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true, WriteBufferSize: 64 << 10}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range connections {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(bodies) {
					return nil
				}
				if err := postBulk(ctx, client, url, bodies[i]); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

func postBulk(ctx context.Context, client *http.Client, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/_bulk?filter_path=errors", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := client.Do(req)
	if err != nil {
		return err // it names method and URL
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("bulk request: %s", resp.Status)
	}
	return nil
}

// bulkItems are the documents as esutil takes them, one for each.
func bulkItems(docs [][]byte, ids bool) []esutil.BulkIndexerItem {
	items := make([]esutil.BulkIndexerItem, len(docs))
	maker := newIDMaker()
	for i := range items {
		items[i] = esutil.BulkIndexerItem{Action: "create", Body: bytes.NewReader(docs[i])}
		if ids {
			items[i].DocumentID = string(maker.append(nil, i))
		}
	}
	return items
}

// bulkIndexer gives the items to esutil.BulkIndexer, with the part of the answer that weir asks for as well.
func bulkIndexer(ctx context.Context, url, index string, items []esutil.BulkIndexerItem, s loaderSettings) error {
	transport := &http.Transport{MaxIdleConnsPerHost: s.connections, DisableCompression: true, WriteBufferSize: 64 << 10}
	defer transport.CloseIdleConnections()
	client, err := elasticsearch.NewClient(elasticsearch.Config{Addresses: []string{url}, Transport: productTransport{transport}, DisableRetry: true})
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	var first error
	var once sync.Once
	indexer, err := esutil.NewBulkIndexer(esutil.BulkIndexerConfig{
		Client: client, Index: index, NumWorkers: s.connections, FlushBytes: s.bodyBytes, FlushInterval: time.Hour,
		QueueSizeMultiplier: 1024, FilterPath: []string{"errors", "items.*.status", "items.*.error"},
		OnError: func(_ context.Context, err error) { once.Do(func() { first = err }) },
	})
	if err != nil {
		return fmt.Errorf("make indexer: %w", err)
	}
	for i := range items {
		if err := indexer.Add(ctx, items[i]); err != nil {
			return errors.Join(fmt.Errorf("add to indexer: %w", err), indexer.Close(ctx))
		}
	}
	if err := errors.Join(indexer.Close(ctx), first); err != nil { // Close has waited for the workers, so first is ours
		return fmt.Errorf("index: %w", err)
	}
	if stats := indexer.Stats(); stats.NumFailed > 0 {
		return fmt.Errorf("index: %d of %d items failed", stats.NumFailed, stats.NumAdded)
	}
	return nil
}

// productTransport lets the client library talk to an OpenSearch, whose answers lack the header that it insists on.
type productTransport struct{ next http.RoundTripper }

func (t productTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err == nil {
		resp.Header.Set("X-Elastic-Product", "Elasticsearch")
	}
	return resp, err
}
