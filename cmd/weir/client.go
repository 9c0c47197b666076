package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirlog/weir/wal"
)

// adminClient asks the admin API: over HTTP when a service runs, else a handler in this process on the
// data directory, which is then held under its lock until close.
type adminClient struct {
	http   *http.Client
	base   string
	token  string
	online bool
	close  func() error
}

// requestTimeout bounds requests whose answer is one value.
const requestTimeout = time.Minute

// withDataDir adds the flag that commands on a data directory have in common.
func withDataDir(cmd *cobra.Command) {
	configFlag(cmd, "data-dir", "data_dir", "data directory")
}

// openAdmin finds out who has the data directory, says so on standard error, and returns a client. The
// caller closes it.
func (a *app) openAdmin(cmd *cobra.Command, needs offlineNeeds) (*adminClient, error) {
	cfg, err := a.loadConfig(cmd)
	if err != nil {
		return nil, err
	}
	return a.openAdminFor(cmd.Context(), cfg, needs)
}

func (a *app) openAdminFor(ctx context.Context, cfg *Config, needs offlineNeeds) (*adminClient, error) {
	holder, held, err := wal.LockHolder(cfg.DataDir)
	switch {
	case errors.Is(err, fs.ErrPermission):
		// Somebody else's directory, as on a machine where the service has a user of its own.
		fmt.Fprintf(a.stderr, "%s cannot be read by this user; asking the service at %s\n", printable(cfg.DataDir), cfg.Admin.Listen)
		return newOnlineClient(cfg, cfg.Admin.Listen), nil
	case err != nil && !held:
		return nil, err
	case held && (err != nil || holder.Admin == ""):
		return nil, fmt.Errorf("%s is held by process %d, which has no admin listener yet: a service that starts, or another weir command; try again in a moment", cfg.DataDir, holder.PID)
	case held:
		fmt.Fprintf(a.stderr, "asking the running service (pid %d) at %s\n", holder.PID, printable(holder.Admin))
		return newOnlineClient(cfg, holder.Admin), nil
	}
	return a.openOfflineClient(ctx, cfg, needs)
}

func newOnlineClient(cfg *Config, address string) *adminClient {
	transport := &http.Transport{
		Proxy:               nil, // the service is on this machine, or named by its own address
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 1,
	}
	return &adminClient{
		http: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		base: "http://" + dialAddress(address), token: cfg.Admin.Token.Reveal(), online: true,
		close: func() error { transport.CloseIdleConnections(); return nil },
	}
}

func (a *app) openOfflineClient(ctx context.Context, cfg *Config, needs offlineNeeds) (*adminClient, error) {
	if err := looksLikeDataDir(cfg.DataDir); err != nil {
		return nil, err
	}
	logger := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	parts, closeParts, err := openOffline(ctx, cfg, logger, needs)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(a.stderr, "no service runs; opened %s\n", printable(cfg.DataDir))
	local := newAdmin(parts)
	handler := local.guard(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, local.handler())
	return &adminClient{
		http: &http.Client{Transport: &handlerTransport{handler}},
		base: "http://localhost", token: cfg.Admin.Token.Reveal(), close: closeParts,
	}, nil
}

// looksLikeDataDir keeps commands from making a data directory where there is none.
func looksLikeDataDir(dir string) error {
	layout := layoutOf(dir)
	for _, path := range []string{layout.wal, layout.db} {
		if _, err := os.Stat(path); err == nil {
			return nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return explainDataDir(dir, err)
		}
	}
	return fmt.Errorf("no service runs, and %s is no data directory of weir: is data_dir right (--config, --data-dir)?", dir)
}

// request sends one request and returns the answer when it is a success, else its error.
func (c *adminClient) request(ctx context.Context, method, path string, params url.Values, contentType string, body io.Reader) (*http.Response, error) {
	target := c.base + path
	if len(params) > 0 {
		target += "?" + params.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set(changeHeader, "1")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, fmt.Errorf("ask the service: %w", err)
	}
	if res.StatusCode/100 != 2 {
		defer res.Body.Close()
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, answerError(res)
	}
	return res, nil
}

// answerError reads the error of an answer.
func answerError(res *http.Response) error {
	var body errorBody
	text, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // what can be read is enough to say
	if json.Unmarshal(text, &body) != nil || body.Error.Code == "" {
		return fmt.Errorf("the service answered %s, and not as weir does: is it the admin listener?", res.Status)
	}
	e := &apiError{status: res.StatusCode, code: body.Error.Code, message: body.Error.Message, retry: body.Error.Retry}
	if res.StatusCode == http.StatusUnauthorized {
		e.message = "the service asks for admin.token, and this command has none or another one: use the service's configuration (--config)"
	}
	return e
}

// get asks for one value.
func (c *adminClient) get(ctx context.Context, path string, params url.Values, into any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	res, err := c.request(ctx, http.MethodGet, path, params, "", nil)
	if err != nil {
		return err
	}
	return readAnswer(res, into)
}

// send sends a value and reads the answer into another.
func (c *adminClient) send(ctx context.Context, method, path string, value, into any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	res, err := c.request(ctx, method, path, nil, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	return readAnswer(res, into)
}

func readAnswer(res *http.Response, into any) error {
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("read the service's answer: %w", err)
	}
	return nil
}

// errorLine is how a stream says that it ended before its end.
var errorLine = []byte(`{"error":`)

// lines asks for a stream and calls each for every line, without its end. The line is valid until each
// returns. It returns the answer's header.
func (c *adminClient) lines(ctx context.Context, method, path string, params url.Values, value any, each func(line []byte) error) (http.Header, error) {
	var body io.Reader
	contentType := ""
	if value != nil {
		b, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		body, contentType = bytes.NewReader(b), "application/json"
	}
	res, err := c.request(ctx, method, path, params, contentType, body)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	in := bufio.NewReaderSize(res.Body, 64<<10)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return res.Header, context.Cause(ctx) // an answer that ends because the question was withdrawn is not whole
		}
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return res.Header, cause
			}
			return res.Header, fmt.Errorf("the service's answer broke off: %w", err)
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		if bytes.HasPrefix(line, errorLine) {
			if cause := context.Cause(ctx); cause != nil {
				return res.Header, cause
			}
			var e errorBody
			if json.Unmarshal(line, &e) == nil {
				return res.Header, &apiError{code: e.Error.Code, message: e.Error.Message, retry: e.Error.Retry}
			}
		}
		if err := each(line); err != nil {
			return res.Header, err
		}
	}
}
