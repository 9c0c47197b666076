package main

import (
	"bytes"
	"cmp"
	"context"
	_ "embed" // the index
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// indexBody makes an index with an explicit mapping, so that no round pays for finding out the fields.
//
//go:embed testdata/index.json
var indexBody []byte

// searchServer is a real Elasticsearch or OpenSearch.
type searchServer struct {
	url    string
	pid    int // 0: unknown
	client *http.Client
}

func newSearchServer(url string, pid int) *searchServer {
	return &searchServer{url: url, pid: pid, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{}}}
}

func (s *searchServer) close() { s.client.CloseIdleConnections() }

// name says what the server is, and its version.
func (s *searchServer) name(ctx context.Context) (string, error) {
	var about struct {
		Version struct{ Distribution, Number string }
	}
	if err := s.call(ctx, http.MethodGet, "/", nil, &about); err != nil {
		return "", err
	}
	return cmp.Or(about.Version.Distribution, "elasticsearch") + " " + about.Version.Number, nil
}

func (s *searchServer) create(ctx context.Context, index string) error {
	return s.call(ctx, http.MethodPut, "/"+index, indexBody, nil)
}

func (s *searchServer) delete(ctx context.Context, index string) error {
	return s.call(ctx, http.MethodDelete, "/"+index, nil, nil)
}

// count returns how many documents of an index can be found, after making all of them so.
func (s *searchServer) count(ctx context.Context, index string) (int, error) {
	var found struct{ Count int }
	if err := s.call(ctx, http.MethodPost, "/"+index+"/_refresh", nil, nil); err != nil {
		return 0, err
	}
	return found.Count, s.call(ctx, http.MethodGet, "/"+index+"/_count", nil, &found)
}

// cpu returns the processor time of the server so far; 0 when its process is unknown.
func (s *searchServer) cpu() (time.Duration, error) {
	if s.pid == 0 {
		return 0, nil
	}
	u, err := readUsage(s.pid)
	return u.cpu, err
}

// call sends a request, expects success, and decodes the answer into answer unless it is nil.
func (s *searchServer) call(ctx context.Context, method, path string, body []byte, answer any) (err error) {
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return err // it names method and URL
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %.300s", method, path, resp.Status, text)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}
