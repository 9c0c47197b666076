package elastictest

import (
	"bufio"
	"encoding/json"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/weirlog/weir/flush/rawjson"
)

// control answers the requests of a test in another process.
func (s *Server) control(ctx *fasthttp.RequestCtx, name string) {
	switch {
	case name == "stats" && ctx.IsGet():
		writeJSON(ctx, s.Stats())
	case name == "docs" && ctx.IsGet():
		s.dump(ctx, string(ctx.QueryArgs().Peek("source")) != "false")
	case name == "chaos" && ctx.IsPost():
		var c Chaos
		if err := json.Unmarshal(ctx.PostBody(), &c); err != nil {
			ctx.Error("chaos: "+err.Error(), 400)
			return
		}
		s.SetChaos(c)
		writeJSON(ctx, c)
	case name == "reset" && ctx.IsPost():
		s.Reset()
		writeJSON(ctx, s.Stats())
	default:
		ctx.Error("no such control", 404)
	}
}

func writeJSON(ctx *fasthttp.RequestCtx, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		ctx.Error(err.Error(), 500)
		return
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(b)
}

// dump writes every document as a line: {"_index":..,"_id":..,"created":1,"conflicts":0,"_source":{..}}.
func (s *Server) dump(ctx *fasthttp.RequestCtx, withSource bool) {
	docs := s.Docs()
	ctx.SetContentType("application/x-ndjson")
	ctx.SetBodyStreamWriter(func(w *bufio.Writer) {
		var b []byte
		for i := range docs {
			b = appendDoc(b[:0], &docs[i], withSource)
			if _, err := w.Write(b); err != nil {
				return // the client went away
			}
		}
	})
}

func appendDoc(b []byte, d *Doc, withSource bool) []byte {
	b = append(b, `{"_index":`...)
	b = rawjson.AppendQuoted(b, d.Index)
	b = append(b, `,"_id":`...)
	b = rawjson.AppendQuoted(b, d.ID)
	b = append(b, `,"created":`...)
	b = strconv.AppendInt(b, int64(d.Created), 10)
	b = append(b, `,"conflicts":`...)
	b = strconv.AppendInt(b, int64(d.Conflicts), 10)
	if withSource && d.Source != nil {
		b = append(b, `,"_source":`...)
		b = append(b, d.Source...)
	}
	return append(b, "}\n"...)
}
