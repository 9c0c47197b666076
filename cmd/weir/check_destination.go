package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/elastic"
)

// destinations asks every distinct destination who it is, and what it would not take.
func (c *checker) destinations(ctx context.Context) {
	if c.faulty("elasticsearch") || c.faulty("streams") {
		c.add("destination", resultSkipped, "the configuration is not valid")
		return
	}
	all := c.cfg.Destinations()
	for _, d := range all {
		of := ""
		if len(all) > 1 {
			of = " (" + counted(len(d.streams), "stream", "streams") + ": " + strings.Join(d.streams, ", ") + ")"
		}
		switch {
		case d.es.embedded():
			c.add("destination", resultOK, "embedded, in %s/store; name elasticsearch.addresses to deliver elsewhere%s", c.cfg.DataDir, of)
		case c.offline:
			c.add("destination", resultSkipped, "%s was not asked (--offline)%s", c.addressesOf(d), of)
		default:
			c.server(ctx, d, of)
		}
	}
}

func (c *checker) addressesOf(d *destination) string {
	if d.es.CloudID != "" {
		return d.es.hosts()
	}
	return strings.Join(d.es.Addresses, ", ")
}

// server asks one destination.
func (c *checker) server(ctx context.Context, d *destination, of string) {
	key := d.prefix + "addresses"
	if d.es.CloudID != "" {
		key = d.prefix + "cloud_id"
	}
	fail := func(err error) {
		c.add("destination", resultFailed, "%s: %s: %s%s", c.cfg.origins[key], key, requestCause(err), of)
	}
	sink, err := newElasticSink(c.cfg, d, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		fail(err)
		return
	}
	defer sink.Close() // closes connections that nobody waits for
	info, err := sink.Ping(ctx)
	refused, isRequest := errors.AsType[*flush.RequestError](err)
	switch {
	case isRequest && refused.Status == http.StatusForbidden:
		c.add("destination", resultWarning, "%s: %s: %s%s", c.cfg.origins[key], key, refused.Err, of)
	case err != nil:
		fail(err)
		return
	default:
		c.add("destination", resultOK, "%s%s", info, of)
		for _, note := range sink.Notes(info) {
			c.add("destination", resultWarning, "%s", note)
		}
	}
	for _, stream := range d.streams {
		c.targetOf(ctx, sink, stream)
	}
}

// targetOf looks at the index of a stream, as far as the server tells.
func (c *checker) targetOf(ctx context.Context, sink *elastic.Sink, stream string) {
	es := c.cfg.delivery(stream)
	route := (&parts{cfg: c.cfg}).route(stream)
	index := route.IndexFor(stream, c.app.now())
	if missing, known := sink.MissingPrivileges(ctx, index, flush.Op(es.Op)); known && len(missing) > 0 {
		c.add("destination", resultWarning, "stream %s: the credentials lack the privileges %s on %s", stream, strings.Join(missing, ", "), index)
	}
	if dataStream, known := sink.IsDataStream(ctx, index); known && dataStream && flush.Op(es.Op) == flush.OpIndex {
		c.add("destination", resultWarning, "stream %s: %s is a data stream, which takes no elasticsearch.op: index; with it nothing is delivered", stream, index)
	}
}
