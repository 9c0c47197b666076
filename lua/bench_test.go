package lua

import (
	"syscall"
	"testing"
)

// contractScript is the example of the contract.
const contractScript = `
function transform(event, meta)
  event.service = event.context.service or "unknown"
  event["@timestamp"] = event.datetime
  event.extra = nil
  meta.index = "logs-" .. event.service
  return event
end`

const monolog = `{"message":"User 4711 logged in from 10.2.3.4","context":{"user_id":4711,"service":"billing","ip":"10.2.3.4",` +
	`"roles":["admin","staff"],"request":{"method":"POST","path":"\/login","ms":12.5}},"level":200,"level_name":"INFO",` +
	`"channel":"app","datetime":"2026-01-02T03:04:05.678901+00:00","extra":{"uid":"abc1234","memory_usage":"12 MB","pid":3211}}`

func BenchmarkTransform(b *testing.B) {
	for _, bc := range []struct{ name, script string }{
		{"script=contract", contractScript},
		{"script=untouched", "function transform(event) return event end"},
		{"script=drop", "function transform(event) if event.level < 300 then return end return event end"},
		{"script=pattern", "function transform(event) event.user = event.message:match('User (%d+)') return event end"},
	} {
		b.Run(bc.name, func(b *testing.B) {
			s := mustCompile(b, bc.script)
			rec := record(monolog)
			b.ReportAllocs()
			b.SetBytes(int64(len(rec.Payload)))
			cpu := processTime()
			for b.Loop() {
				if _, _, err := s.Transform(rec); err != nil {
					b.Fatal(err)
				}
			}
			report(b, processTime()-cpu)
		})
	}
}

// BenchmarkLibrary is one call for each event, beside the event itself ("none").
func BenchmarkLibrary(b *testing.B) {
	const combined = `203.0.113.7 - frank [02/Jan/2026:03:04:05 +0000] "GET /index.php?a=b HTTP/1.1" 200 2326 "https://example.com/" ` +
		`"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"`
	for _, bc := range []struct{ name, call string }{
		{"none", `local x = 1`},
		{"time.parse/rfc3339", `time.parse("2026-01-02T03:04:05.678901+01:00", "rfc3339")`},
		{"time.parse/monolog", `time.parse("2026-01-02 03:04:05", "monolog", "Europe/Vienna")`},
		{"time.parse/apache", `time.parse("02/Jan/2026:03:04:05 +0000", "apache")`},
		{"time.parse/elb", `time.parse("2026-01-02T03:04:05.678901Z", "elb")`},
		{"time.parse/epoch_ms", `time.parse(1767323045678, "epoch_ms")`},
		{"time.parse/strftime", `time.parse("02.01.2026 03:04:05", "%d.%m.%Y %H:%M:%S")`},
		{"time.format/strftime", `time.format(1767323045, "%d.%m.%Y %H:%M:%S")`},
		{"re.match", `re.match(event.message, [[User (\d+)]])`},
		{"string.match", `string.match(event.message, "User (%d+)")`},
		{"re.gsub", `re.gsub(event.message, [[\d+]], "#")`},
		{"grok/COMBINEDAPACHELOG", `grok('` + combined + `', "^%{COMBINEDAPACHELOG}")`},
		{"grok/no-match", `grok(event.message, "^%{COMBINEDAPACHELOG}")`},
		{"kv", `kv([[level=warn msg="disk is full" user=4711 ip=10.2.3.4]])`},
		{"csv", `csv('2026-01-02,"Doe, Joe",4711,ok')`},
		{"url.parse", `url.parse("https://example.com:8443/login?a=1&b=2")`},
		{"ip.cidr_match", `ip.cidr_match("10.2.3.4", "10.0.0.0/8")`},
	} {
		b.Run(bc.name, func(b *testing.B) {
			s, rec := mustCompile(b, body(bc.call)), record(monolog)
			b.ReportAllocs()
			cpu := processTime()
			for b.Loop() {
				if _, _, err := s.Transform(rec); err != nil {
					b.Fatal(err)
				}
			}
			report(b, processTime()-cpu)
		})
	}
}

// processTime is the processor time of the process, garbage collection included.
func processTime() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// report gives events a second of one core, also where other processes share it.
func report(b *testing.B, cpu float64) {
	b.ReportMetric(float64(b.N)/cpu, "events/core-s")
}
