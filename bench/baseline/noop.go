package baseline

import (
	"time"

	"github.com/valyala/fasthttp"
)

const contentType = "application/json"

// Noop returns a handler that takes every request and answers 202 with body.
func Noop(body []byte) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		_ = ctx.PostBody() // it was read in full before the call
		respond(ctx, 202, body)
	}
}

// NewServer returns the server that all baselines use, with the limits that weir has.
func NewServer(handler fasthttp.RequestHandler) *fasthttp.Server {
	return &fasthttp.Server{
		Handler:            handler,
		MaxRequestBodySize: 32 << 20,
		ReadTimeout:        30 * time.Second,
		IdleTimeout:        10 * time.Minute,
		CloseOnShutdown:    true,
	}
}

func respond(ctx *fasthttp.RequestCtx, status int, body []byte) {
	ctx.SetStatusCode(status)
	ctx.SetContentType(contentType)
	ctx.SetBody(body)
}
