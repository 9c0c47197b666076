package lua

import (
	"bytes"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestEffects_Hostile is TestTransform_Hostile for hash, base64, uuid, redact, log and metric.
func TestEffects_Hostile(t *testing.T) {
	for _, h := range []hostileScript{
		{"sha256 of a long text without end", `local s = string.rep("x", 6e6) while true do hash.sha256(s) end`, typeTimeout},
		{"sha256 of short texts without end", `while true do hash.sha256("x") end`, either},
		{"xxh64 of a long text without end", `local s = string.rep("x", 6e6) while true do hash.xxh64(s) end`, typeTimeout},
		{"base64 that grows", `local s = "x" while true do s = base64.encode(s) end`, typeMemory},
		{"base64 of a long text, again and again", `local s = string.rep("x", 1e5) while true do base64.encode(s) end`, either},
		{"decoding of a long text, again and again", `local s = string.rep("A", 1e5) while true do base64.decode(s) end`, either},
		{"decoding of a long text that is none", `local s = string.rep("A", 6e6) .. "*" while true do base64.decode(s) end`, either},
		{"a UUID of a long name without end", `local s = string.rep("x", 6e6) while true do uuid.v5(s) end`, typeTimeout},
		{"random UUIDs without end", `while true do uuid.v4() end`, either},
		{"redact of a long text without end", `local s = string.rep("x", 6e6) while true do redact(s) end`, typeTimeout},
		{"redact of many mail addresses", `local s = string.rep("a@b.de ", 4e5) while true do redact(s) end`, either},
		{"redact of signs", `local s = string.rep("@", 6e6) .. "a@b.de" while true do redact(s) end`, either},
		{"redact of coded signs", `local s = string.rep("%40", 1e6) while true do redact(s) end`, either},
		{"redact of digits in groups", `local s = string.rep("4111 1111 1111 1112 ", 2e5) while true do redact(s) end`, either},
		{"redact of digits in one piece", `local s = string.rep("4", 6e6) while true do redact(s) end`, typeTimeout},
		{"redact of spaces", `local s = string.rep(" ", 6e6) while true do redact(s) end`, typeTimeout},
		{"redact of beginnings of web tokens", `local s = string.rep("eyJ", 1e6) while true do redact(s) end`, either},
		{"redact of schemes", `local s = string.rep("basic ", 5e5) while true do redact(s) end`, either},
		{"redact of a scheme and spaces", `local s = string.rep("Bearer" .. string.rep(" ", 1000), 3e3) while true do redact(s) end`, either},
		{"redact of prefixes without a digit", `local s = string.rep("sk-", 1e6) while true do redact(s) end`, either},
		{"redact of letters beyond ASCII", `local s = string.rep("ü", 1e6) .. "@" .. string.rep("ü", 1e6) while true do redact(s) end`, either},
		{"redact of a graph", `local t = {"a"} for i = 1, 64 do t = {t, t} end while true do redact(t) end`, either},
		{"redact of a cycle", `local t = {} t.t = t while true do redact(t) end`, either},
		{"redact of a large list", `local t = {} for i = 1, 1e5 do t[i] = i end while true do redact(t) end`, either},
		{"redact of many tables", `local t = {} for i = 1, 2e4 do t[i] = json.object() end while true do redact(t) end`, either},
		{"redact of the event without end", `while true do redact(event, {fields = {"hostile"}}) event.hostile = true end`, either},
		{"redact of a deep text", `local d = json.decode(string.rep('{"d":', 900) .. '"a@b.de"' .. string.rep("}", 900)) while true do redact(d) d = json.decode(string.rep('{"d":', 900) .. '"a@b.de"' .. string.rep("}", 900)) end`, either},
		{"redact of a deep, wide text", `local s = string.rep('{"w":"' .. string.rep("x", 1000) .. '","d":', 900) .. '"a@b.de"' .. string.rep("}", 900) while true do redact(json.decode(s)) end`, either},
		{"redact of many names in a text", `local o = {fields = {}} for i = 1, 100 do o.fields[i] = ("x"):rep(100) .. "a" end local d = json.decode('{"d":"' .. string.rep([[a\":]], 1e5) .. '"}') while true do redact(d, o) end`, either},
		{"redact with ever new options", `local i = 0 while true do i = i + 1 redact("x", {fields = {"f" .. i}}) end`, either},
		{"log without end", `while true do log.info("x") end`, typeTimeout},
		{"log of a long text", `local s = string.rep("x", 6e6) while true do log.info(s, {x = s}) end`, typeTimeout},
		{"log of many fields", `local f = {} for i = 1, 1e5 do f["k" .. i] = i end while true do log.info("x", f) end`, either},
		{"log of a graph", `local t = {1} for i = 1, 64 do t = {a = t, b = t} end log.info("x", t)`, either},
		{"log of a __tostring without end", `log.info(setmetatable({}, {__tostring = function() while true do end end}))`, typeTimeout},
		{"log of a __tostring that logs", `local t t = setmetatable({}, {__tostring = function() log.info(t) return "" end}) while true do pcall(log.info, t) end`, either},
		{"metric without end", `while true do metric.inc("x") end`, typeTimeout},
		{"metric of two series in turns", `while true do metric.inc("x") metric.inc("y") end`, either},
		{"metric with ever new values", `local i = 0 while true do i = i + 1 metric.inc("x", {i = i}) end`, either},
		{"metric with a long value", `local s = string.rep("x", 6e6) while true do metric.inc("x", {s = s}) end`, either},
		{"metric with a long value that is no UTF-8", `local s = string.rep("\255", 6e6) while true do metric.inc("x", {s = s}) end`, either},
		{"metric with many labels without a value", `local l = {} for i = 1, 1e5 do l["k" .. i] = "" end while true do metric.inc("x", l) end`, either},
		{"metric with a long name, caught", `local s = string.rep("x", 6e6) while true do pcall(metric.inc, s) end`, either},
	} {
		t.Run(h.name, func(t *testing.T) {
			opts := Options{Timeout: 30 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Metrics: NewMetrics(prometheus.NewRegistry())}
			if h.kind == typeMemory { // however slow the machine
				opts.Timeout, opts.MaxMemory = time.Minute, 4<<20
			}
			h.end(t, opts, &bytes.Buffer{})
		})
	}
}
