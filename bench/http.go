package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// control is the client of admin listeners and of the sink. It keeps no connections: they would outlive the server. It
// takes no compressed answers: packing them would be the asked one's time.
var control = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}

// patient is the same for what takes its time.
var patient = &http.Client{Transport: control.Transport}

// metric returns the value of a metric without labels.
func metric(ctx context.Context, admin, name string) (value float64, err error) {
	found := false
	err = get(ctx, admin+"/metrics", func(r io.Reader) error {
		lines := bufio.NewScanner(r)
		for lines.Scan() && !found {
			if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
				found = true
				if value, err = strconv.ParseFloat(text, 64); err != nil {
					return fmt.Errorf("read metric %s: %w", name, err)
				}
			}
		}
		return lines.Err()
	})
	if err == nil && !found {
		err = fmt.Errorf("weir has no metric %s", name)
	}
	return value, err
}

// get sends a GET and gives the body of a 200 answer to read, which may be nil.
func get(ctx context.Context, url string, read func(io.Reader) error) error {
	return getWith(ctx, control, url, read)
}

func getWith(ctx context.Context, client *http.Client, url string, read func(io.Reader) error) error {
	return call(ctx, client, http.MethodGet, url, http.NoBody, read)
}

// post sends a request that changes something.
func post(ctx context.Context, url, body string) error {
	return call(ctx, control, http.MethodPost, url, strings.NewReader(body), nil)
}

func call(ctx context.Context, client *http.Client, method, url string, body io.Reader, read func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err // it names method and URL
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // only to say more
		return fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, text)
	}
	if read == nil {
		return nil
	}
	return read(resp.Body)
}
