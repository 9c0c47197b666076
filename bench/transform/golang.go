package transform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/rawjson"
	"github.com/weirlog/weir/wal"
)

var errNoContext = errors.New("the event has no context")

// goJSON is the contract's script in the Go that comes to mind first.
type goJSON struct{}

func (goJSON) Version() string { return GoJSON }

func (goJSON) Transform(_ context.Context, rec *wal.Record) ([]flush.Document, error) {
	var event map[string]any
	if err := json.Unmarshal(rec.Payload, &event); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	fields, ok := event["context"].(map[string]any)
	if !ok {
		return nil, errNoContext
	}
	service, ok := fields["service"].(string)
	if !ok {
		service = "unknown"
	}
	event["service"] = service
	event["@timestamp"] = event["datetime"]
	delete(event, "extra")
	source, err := json.Marshal(event)
	if err != nil {
		return nil, fmt.Errorf("encode document: %w", err)
	}
	return []flush.Document{{Source: source, Index: "logs-" + service}}, nil
}

// goBytes is the same as quick as it can be on weir's own JSON: one walk, members copied, nothing decoded but the
// service. It is what a compiler of such scripts could reach. The document is good until the next one.
type goBytes struct {
	scratch []byte
	doc     [1]flush.Document
}

func (*goBytes) Version() string { return GoBytes }

func (g *goBytes) Transform(_ context.Context, rec *wal.Record) ([]flush.Document, error) {
	var service, time []byte
	found := false
	source := append(make([]byte, 0, len(rec.Payload)+96), '{')
	it := rawjson.MembersOf(rec.Payload)
	for key, value, ok := it.Next(); ok; key, value, ok = it.Next() {
		switch name := string(key); name {
		case `"extra"`, `"service"`, `"@timestamp"`:
			continue
		case `"context"`:
			found = true
			service, _ = rawjson.Lookup(value, "service")
		case `"datetime"`:
			time = value
		}
		start, end := it.Bounds()
		source = append(append(source, rec.Payload[start:end]...), ',')
	}
	if !it.Complete() || !found {
		return nil, errNoContext
	}
	if service == nil {
		service = []byte(`"unknown"`)
	}
	source = append(append(source, `"service":`...), service...)
	if time != nil {
		source = append(append(source, `,"@timestamp":`...), time...)
	}
	g.scratch = rawjson.AppendUnquoted(append(g.scratch[:0], "logs-"...), service)
	g.doc[0] = flush.Document{Source: append(source, '}'), Index: string(g.scratch)}
	return g.doc[:], nil
}
