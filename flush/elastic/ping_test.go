package elastic_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weirlog/weir/flush/elastic"
	"github.com/weirlog/weir/flush/elastic/elastictest"
)

func TestSink_Ping(t *testing.T) {
	for _, tt := range []struct {
		opts elastictest.Options
		want elastic.Info
	}{
		{elastictest.Options{}, elastic.Info{Product: elastic.ProductElasticsearch, Version: "8.19.21", Cluster: "elastictest"}},
		{elastictest.Options{OpenSearch: true}, elastic.Info{Product: elastic.ProductOpenSearch, Version: "2.19.1", Cluster: "elastictest"}},
	} {
		sink := newSink(t, elastictest.Start(t, tt.opts))
		got, err := sink.Ping(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got != tt.want {
			t.Errorf("ping says %+v, want %+v", got, tt.want)
		}
	}
}

func TestSink_Ping_Fails(t *testing.T) {
	page := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	for name, tt := range map[string]struct {
		handler  http.HandlerFunc
		cause    string
		operator bool
		says     string
	}{
		"credentials":        {page(401, `{"error":{"type":"security_exception","reason":"missing"}}`), "status_401", true, "check the user name"},
		"no privilege":       {page(403, `{"error":{"type":"security_exception","reason":"missing"}}`), "status_403", true, "delivery may work"},
		"web page":           {page(200, "<html><title>Kibana</title></html>"), "untrusted", true, "web page"},
		"other JSON":         {page(200, `{"hello":"world"}`), "untrusted", true, "neither Elasticsearch nor OpenSearch"},
		"nothing":            {page(200, ""), "untrusted", true, "empty"},
		"not found":          {page(404, "nothing here"), "status_404", true, "path"},
		"unavailable":        {page(503, ""), "status_503", false, "503"},
		"control characters": {page(200, "\x1b[2Jgotcha\x00"), "untrusted", true, "gotcha"},
	} {
		t.Run(name, func(t *testing.T) {
			web := httptest.NewServer(tt.handler)
			defer web.Close()
			sink, err := elastic.New(elastic.Options{Addresses: []string{strings.Replace(web.URL, "://", "://u:s3cret@", 1)}})
			if err != nil {
				t.Fatal(err)
			}
			defer sink.Close()
			_, err = sink.Ping(t.Context())
			re := requestError(t, nil, err)
			if re.Cause != tt.cause || re.Parked() != tt.operator {
				t.Errorf("error is %+v", re)
			}
			if !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), sink.Name()) {
				t.Errorf("error %q does not say %q and the host", err, tt.says)
			}
			if strings.ContainsAny(err.Error(), "\x1b\x00\n") || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %q holds what it must not", err)
			}
		})
	}
}

func TestSink_Ping_Refused(t *testing.T) {
	sink, err := elastic.New(elastic.Options{Addresses: []string{"http://" + closedAddress(t)}})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	_, err = sink.Ping(t.Context())
	if re := requestError(t, nil, err); re.Cause != "refused" || !strings.Contains(err.Error(), "is it running") {
		t.Errorf("error is %v", err)
	}
}
