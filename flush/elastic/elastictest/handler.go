package elastictest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/weirlog/weir/flush/rawjson"
)

func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	path := string(ctx.Path())
	if control, ok := strings.CutPrefix(path, "/_elastictest/"); ok {
		s.control(ctx, control)
		return
	}
	ctx.SetContentType("application/json")
	if !s.opts.OpenSearch {
		ctx.Response.Header.Set("X-elastic-product", "Elasticsearch")
	}
	if s.opts.Authorization != "" && string(ctx.Request.Header.Peek("Authorization")) != s.opts.Authorization {
		ctx.Response.Header.Del("X-elastic-product")
		ctx.Response.Header.Set("WWW-Authenticate", `Basic realm="security"`)
		refuse(ctx, 401, "security_exception", "missing authentication credentials for REST request")
		return
	}
	switch {
	case path == "/" && (ctx.IsGet() || ctx.IsHead()):
		s.counts.greetings.Add(1)
		if s.opts.Greeting != 0 {
			refuse(ctx, s.opts.Greeting, "security_exception", "action [cluster:monitor/main] is unauthorized")
			return
		}
		ctx.SetBody(s.greeting())
	case path == "/_license" && ctx.IsGet(): // Logstash sends nothing to a server without an active one
		ctx.SetBodyString(`{"license":{"status":"active","uid":"elastictest","type":"basic"}}`)
	case path == "/_cluster/health" && ctx.IsGet(): // Vector asks before it begins
		ctx.SetBodyString(`{"cluster_name":"elastictest","status":"green"}`)
	case strings.HasSuffix(path, "/_bulk") && (ctx.IsPost() || ctx.IsPut()):
		s.bulk(ctx, strings.Trim(strings.TrimSuffix(path, "_bulk"), "/"))
	default:
		ctx.SetStatusCode(400)
		fmt.Fprintf(ctx, `{"error":"no handler found for uri [%s] and method [%s]"}`, path, ctx.Method())
	}
}

func (s *Server) greeting() []byte {
	version := map[string]string{"number": "8.19.21", "build_flavor": "default"}
	tagline := "You Know, for Search"
	if s.opts.OpenSearch {
		version = map[string]string{"number": "2.19.1", "distribution": "opensearch"}
		tagline = "The OpenSearch Project: https://opensearch.org/"
	}
	if s.opts.Version != "" {
		version["number"] = s.opts.Version
	}
	body, err := json.Marshal(map[string]any{
		"name": "node-1", "cluster_name": "elastictest", "cluster_uuid": "elastictest00000000000",
		"version": version, "tagline": tagline,
	})
	if err != nil {
		panic("elastictest: greeting: " + err.Error()) // strings only
	}
	return body
}

// refuse answers for a whole request as the server does.
func refuse(ctx *fasthttp.RequestCtx, status int, typ, reason string) {
	b := append([]byte(nil), `{"error":{"root_cause":[],"type":`...)
	b = rawjson.AppendQuoted(b, typ)
	b = append(b, `,"reason":`...)
	b = rawjson.AppendQuoted(b, reason)
	b = append(b, `},"status":`...)
	b = strconv.AppendInt(b, int64(status), 10)
	ctx.SetStatusCode(status)
	ctx.SetBody(append(b, '}'))
}

// bulk answers a bulk request.
func (s *Server) bulk(ctx *fasthttp.RequestCtx, index string) {
	number := s.requests.Add(1)
	s.counts.bytes.Add(int64(len(ctx.Request.Body())))
	work := getWork()
	defer work.put()
	parseErr := work.parse(s, ctx, index)
	fault := s.fault(Request{
		Number:    int(number),
		Index:     index,
		Documents: len(work.items),
		Bytes:     len(ctx.Request.Body()),
		Encoding:  string(ctx.Request.Header.ContentEncoding()),
		Query:     string(ctx.URI().QueryString()),
		Host:      string(ctx.Host()),
	}, work)
	s.wait(fault)
	switch {
	case fault.Status != 0:
		fault.answer(ctx)
		return
	case fault.CutBefore:
		fault.cut(ctx, nil)
		return
	case parseErr != nil:
		parseErr.answer(ctx)
		return
	}
	body := s.apply(work, string(ctx.QueryArgs().Peek("filter_path")), fault.Unstored)
	if fault.Mangle != nil {
		body = fault.Mangle(bytes.Clone(body))
		if fault.ContentEncoding != "" {
			ctx.Response.Header.SetContentEncoding(fault.ContentEncoding)
		}
	}
	switch {
	case fault.Raw != nil:
		fault.cut(ctx, fault.Raw)
	case fault.CutAfter:
		fault.cut(ctx, nil)
	case fault.CutAnswer:
		head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-elastic-product: Elasticsearch\r\n"+
			"Content-Length: %d\r\n\r\n", len(body))
		fault.cut(ctx, append([]byte(head), body[:len(body)/2]...))
	default:
		ctx.SetBody(body)
	}
}

// fault returns what spoils a request: the hook's word first, then chance.
func (s *Server) fault(r Request, w *work) Fault {
	var f Fault
	if hook := s.request.Load(); hook != nil {
		r.IDs = w.ids()
		f = (*hook)(r)
	}
	if c := s.chaos.Load(); c != nil {
		w.chance(c, r.Number)
		c.spoil(&f, w.rand)
	}
	return f
}

func (s *Server) wait(f Fault) {
	if f.Wait != nil {
		select {
		case <-f.Wait:
		case <-s.stop:
		}
	}
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.stop:
		}
	}
}

func (f *Fault) answer(ctx *fasthttp.RequestCtx) {
	if f.ContentType != "" {
		ctx.SetContentType(f.ContentType)
	}
	if f.RetryAfter != "" {
		ctx.Response.Header.Set("Retry-After", f.RetryAfter)
	}
	if f.Location != "" {
		ctx.Response.Header.Set("Location", f.Location)
	}
	ctx.SetStatusCode(f.Status)
	ctx.SetBodyString(f.Body)
}

// cut ends the connection after writing what is given.
func (f *Fault) cut(ctx *fasthttp.RequestCtx, written []byte) {
	ctx.HijackSetNoResponse(true)
	reset := f.Reset
	ctx.Hijack(func(c net.Conn) {
		if len(written) > 0 {
			_, _ = c.Write(written) // the client may be gone, which is as good
		}
		if inner, ok := c.(interface{ UnsafeConn() net.Conn }); ok {
			c = inner.UnsafeConn()
		}
		if tcp, ok := c.(interface{ SetLinger(seconds int) error }); ok && reset {
			_ = tcp.SetLinger(0) // makes Close send RST
		}
		_ = c.Close()
	})
}
