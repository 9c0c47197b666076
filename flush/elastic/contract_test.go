package elastic_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/elastic"
	"github.com/weirlog/weir/flush/elastic/elastictest"
	"github.com/weirlog/weir/flush/flushtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, elastictest.IgnoreLeaks()...)
}

// newSink returns a sink for the server that is closed with the test.
func newSink(t testing.TB, s *elastictest.Server, change ...func(*elastic.Options)) *elastic.Sink {
	t.Helper()
	opts := elastic.Options{Addresses: []string{s.URL()}}
	for _, f := range change {
		f(&opts)
	}
	sink, err := elastic.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sink.Close(); err != nil {
			t.Error(err)
		}
	})
	return sink
}

func gzipped(o *elastic.Options) { o.Compression = elastic.CompressionGzip }

func TestSink_Contract(t *testing.T) {
	for _, tt := range []struct {
		name   string
		server elastictest.Options
		change func(*elastic.Options)
	}{
		{"Elasticsearch", elastictest.Options{}, func(*elastic.Options) {}},
		{"OpenSearch", elastictest.Options{OpenSearch: true}, func(*elastic.Options) {}},
		{"gzip", elastictest.Options{}, gzipped},
		{"zstd", elastictest.Options{OpenSearch: true}, func(o *elastic.Options) { o.Compression = elastic.CompressionZstd }},
		{"zstd that the server does not read", elastictest.Options{}, func(o *elastic.Options) { o.Compression = elastic.CompressionZstd }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			flushtest.RunSink(t, func(t *testing.T) flushtest.SinkFixture {
				server := elastictest.Start(t, tt.server)
				return flushtest.SinkFixture{
					Sink: newSink(t, server, tt.change),
					Source: func(_ *testing.T, index, id string) ([]byte, bool) {
						d, found := server.Doc(index, id)
						return d.Source, found
					},
					Count: func(*testing.T) int { return len(server.Docs()) },
				}
			})
		})
	}
}

var _ flush.Sink = (*elastic.Sink)(nil)
