package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Format is how events travel in a request.
type Format string

const (
	Object       Format = "object"        // one JSON object
	NDJSON       Format = "ndjson"        // a line for each event
	Array        Format = "array"         // a JSON array
	Bulk         Format = "_bulk"         // Elasticsearch's: an action line before each event
	OTLPJSON     Format = "otlp-json"     // OTLP/HTTP, an export request of log records
	OTLPProtobuf Format = "otlp-protobuf" // the same in its binary form
)

// Formats are all that there are.
var Formats = []Format{Object, NDJSON, Array, Bulk, OTLPJSON, OTLPProtobuf}

// MaxEvents returns how many events a request may carry; 0: any number.
func (f Format) MaxEvents() int {
	if f == Object {
		return 1
	}
	return 0
}

func (f Format) contentType() string {
	switch f {
	case NDJSON, Bulk:
		return "application/x-ndjson"
	case OTLPProtobuf:
		return "application/x-protobuf"
	}
	return "application/json"
}

// Acknowledges reports whether an answer acknowledges everything of a request: any 2xx, but one to _bulk that names
// errors, or one to OTLP that names rejected records.
func (f Format) Acknowledges(status int, body []byte) bool {
	if status < 200 || status > 299 {
		return false
	}
	switch f {
	case Bulk:
		var answer struct{ Errors bool }
		return json.Unmarshal(body, &answer) == nil && !answer.Errors
	case OTLPJSON:
		var answer struct{ PartialSuccess map[string]any }
		if len(body) > 0 && json.Unmarshal(body, &answer) != nil {
			return false
		}
		rejected, some := answer.PartialSuccess["rejectedLogRecords"] // a 64-bit number may be a string
		return !some || fmt.Sprint(rejected) == "0"
	case OTLPProtobuf:
		partial, err := field(body, protowire.BytesType, protowire.ConsumeBytes)
		if err != nil {
			return false
		}
		rejected, err := field(partial, protowire.VarintType, protowire.ConsumeVarint)
		return err == nil && rejected == 0
	}
	return true
}

// field returns field 1 of a message, or its zero value: partial_success of the answer, rejected_log_records of that.
func field[T any](message []byte, kind protowire.Type, consume func([]byte) (T, int)) (value T, err error) {
	for len(message) > 0 {
		number, typ, n := protowire.ConsumeTag(message)
		if n < 0 {
			return value, protowire.ParseError(n)
		}
		message = message[n:]
		if number == 1 && typ == kind {
			if value, n = consume(message); n < 0 {
				return value, protowire.ParseError(n)
			}
		} else if n = protowire.ConsumeFieldValue(number, typ, message); n < 0 {
			return value, protowire.ParseError(n)
		}
		message = message[n:]
	}
	return value, nil
}

// action names no index of its own: the receiver knows where it sends to.
const action = `{"create":{"_index":"logs-bench-default"}}` + "\n"

// body makes the body of a request of a valid shape.
func (f Format) body(events [][]byte) []byte {
	switch f {
	case NDJSON:
		return append(bytes.Join(events, []byte{'\n'}), '\n')
	case Array:
		return append(append([]byte{'['}, bytes.Join(events, []byte{','})...), ']')
	case Bulk:
		var b []byte
		for _, e := range events {
			b = append(append(append(b, action...), e...), '\n')
		}
		return b
	case OTLPJSON:
		return must(protojson.MarshalOptions{UseEnumNumbers: true}.Marshal(export(events)))
	case OTLPProtobuf:
		return must(proto.Marshal(export(events)))
	}
	return events[0]
}

// must is for events that this package made.
func must(b []byte, err error) []byte {
	if err != nil {
		panic("load: encode made events: " + err.Error())
	}
	return b
}

// export makes an export request of the events. LogsData has the bytes of an ExportLogsServiceRequest, whose package
// would bring all of gRPC with it.
func export(events [][]byte) *logs.LogsData {
	records := make([]*logs.LogRecord, len(events))
	for i, e := range events {
		records[i] = record(e)
	}
	return &logs.LogsData{ResourceLogs: []*logs.ResourceLogs{{
		Resource:  &resource.Resource{Attributes: []*common.KeyValue{attribute("service.name", "weir-bench")}},
		ScopeLogs: []*logs.ScopeLogs{{LogRecords: records}},
	}}}
}

// record makes a log record of an event: its message is the body, its context are the attributes.
func record(event []byte) *logs.LogRecord {
	var e struct {
		Message   string
		Context   map[string]any
		LevelName string `json:"level_name"`
		Channel   string
		Datetime  time.Time
	}
	if err := json.Unmarshal(event, &e); err != nil {
		panic("load: read a made event: " + err.Error())
	}
	r := &logs.LogRecord{TimeUnixNano: uint64(e.Datetime.UnixNano()), SeverityNumber: logs.SeverityNumber_SEVERITY_NUMBER_INFO, SeverityText: e.LevelName,
		Body: text(e.Message), Attributes: []*common.KeyValue{attribute("channel", e.Channel)}}
	for _, key := range slices.Sorted(maps.Keys(e.Context)) {
		r.Attributes = append(r.Attributes, attribute(key, fmt.Sprint(e.Context[key])))
	}
	return r
}

func attribute(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: text(value)}
}

func text(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
}
