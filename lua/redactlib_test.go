package lua

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/weirlog/weir/flush/rawjson"
	"github.com/weirlog/weir/lua/stdlib"
)

func free(int) bool { return true }

func TestRedact_Tables(t *testing.T) {
	const odd = `{ "z":1.0,"id":90071992547409931, "huge":1e400,"a":"\/\u00e9","a":2,"e":{},"l":[ 1.50, null ],"ts":1767323045678 }`
	for _, tc := range []struct{ name, script, in, want string }{
		{"nothing to hide", `assert(select(2, redact(event)) == 0)`, odd, odd},
		{"the table itself comes back", `assert(redact(event) == event)`, odd, odd},
		{"a mail address, and nothing else touched", `assert(select(2, redact(event)) == 1)`, `{"m":"to a@b.de","z":1.0, "a":"\/" ,"l":[ 1.0 ]}`, `{"m":"to <mail>","z":1.0, "a":"\/" ,"l":[ 1.0 ]}`},
		{"at any depth", `redact(event)`, `{"a":{"b":[{"c":[["a@b.de",1.0]]}],"d":1.0}}`, `{"a":{"b":[{"c":[["<mail>",1.0]]}],"d":1.0}}`},
		{"a part of the event", `redact(event.a)`, `{"a":{"m":"a@b.de"},"m":"a@b.de"}`, `{"a":{"m":"<mail>"},"m":"a@b.de"}`},
		{"an escaped sign", `redact(event)`, `{"m":"a\u0040b.de","n":"a\/b\u0040c.de"}`, `{"m":"<mail>","n":"a/<mail>"}`},
		{"an escaped digit", `redact(event)`, `{"m":"411111111111111\u0031"}`, `{"m":"<card>"}`},
		{"a token with escaped slashes", `redact(event)`, `{"m":"Basic dXN\/lcj\/pwYXNz."}`, `{"m":"Basic <token>."}`},
		{"an escape with nothing behind it", `redact(event)`, `{"m":"\u0041","n":"\u0020"}`, `{"m":"\u0041","n":"\u0020"}`},
		{"a card that is a number", `redact(event)`, `{"a":4111111111111111,"b":[4111111111111111,4.111111111111111e+15],"c":4111111111111112}`, `{"a":"<card>","b":["<card>","<card>"],"c":4111111111111112}`},
		{"a card that is an exact number", `redact(event)`, `{"a":6304000000000000000,"l":[6304000000000000000]}`, `{"a":"<card>","l":["<card>"]}`},
		{"a card that was read before", `local x, y = event.a, event.b[1] redact(event)`, `{"a":4111111111111111.0,"b":[6304000000000000000]}`, `{"a":"<card>","b":["<card>"]}`},
		{"a card that the script computed", `event.a = 4111111111111110 + 1 event.b = {4111111111111111} redact(event)`, `{}`, `{"a":"<card>","b":["<card>"]}`},
		{"a number that was moved", `event.b = event.a redact(event)`, `{"a":4.111111111111111e+15}`, `{"a":"<card>","b":"<card>"}`},
		{"names are left", `redact(event)`, `{"a@b.de":1,"c":{"4111111111111111":"x"}}`, `{"a@b.de":1,"c":{"4111111111111111":"x"}}`},
		{"of a name that stands twice, both", `assert(select(2, redact(event)) == 2)`, `{"a":"a@b.de","b":1.0,"a":{"x":"c@d.de"}}`, `{"a":"<mail>","b":1.0,"a":{"x":"<mail>"}}`},
		{"what the script assigned", `event.x = "a@b.de" event.t = {m = "a@b.de", n = {"c@d.de", 1}} redact(event)`, `{"z":1.0}`, `{"z":1.0,"x":"<mail>","t":{"m":"<mail>","n":["<mail>",1]}}`},
		{"what the script put in place of something harmless", `event.a.b = "a@b.de" event.l[1] = "a@b.de" event.l[2].x = "a@b.de" redact(event)`, `{"a":{"b":1,"c":1.0},"l":["x",{"x":1,"y":1.0}]}`, `{"a":{"b":"<mail>","c":1.0},"l":["<mail>",{"x":"<mail>","y":1.0}]}`},
		{"what the script removed stays away", `event.a = nil redact(event)`, `{"a":"a@b.de","b":"c@d.de"}`, `{"b":"<mail>"}`},
		{"what was moved", `event.b.c = event.a redact(event.b)`, `{"a":{"m":"a@b.de"},"b":{}}`, `{"a":{"m":"<mail>"},"b":{"c":{"m":"<mail>"}}}`},
		{"added elements", `table.insert(event.l, "a@b.de") redact(event)`, `{"l":[1.0]}`, `{"l":[1.0,"<mail>"]}`},
		{"a table of the script", `local t = {"a@b.de", x = {y = "c@d.de"}} local u, n = redact(t) assert(u == t and n == 2) event.s = t[1] .. t.x.y`, `{}`, `{"s":"<mail><mail>"}`},
		{"a table that contains itself", `local t = {m = "a@b.de"} t.t = t t.u = {t, t} local _, n = redact(t) assert(n == 1) event.m = t.m`, `{}`, `{"m":"<mail>"}`},
		{"twice", `redact(event) assert(select(2, redact(event, {fields = {"p"}})) == 1) assert(select(2, redact(event, {fields = {"p"}})) == 0)`, `{"m":"a@b.de","p":1}`, `{"m":"<mail>","p":"<removed>"}`},
		{"a list that json.array marked", `event.l = json.array({"a@b.de"}) redact(event)`, `{}`, `{"l":["<mail>"]}`},
		{"an object of json.object", `event.o = json.object({m = "a@b.de"}) redact(event)`, `{}`, `{"o":{"m":"<mail>"}}`},
		{"many members", `redact(event)`, `{` + members(100) + `,"m":"a@b.de"}`, `{` + members(100) + `,"m":"<mail>"}`},

		{"fields", `local _, n = redact(event, {fields = {"password", "Token"}}) assert(n == 5, n)`, `{"Password":"x","a":{"PASSWORD":{"b":1},"password":null},"token":[1],"l":[{"toKen":4.0}],"passwords":1.0}`,
			`{"Password":"<removed>","a":{"PASSWORD":"<removed>","password":"<removed>"},"token":"<removed>","l":[{"toKen":"<removed>"}],"passwords":1.0}`},
		{"a field with an escaped name", `redact(event, {fields = {"password", "a/b"}})`, `{"p\u0061ssword":1,"a\/b":2,"c":1.0}`, `{"p\u0061ssword":"<removed>","a\/b":"<removed>","c":1.0}`},
		{"a field that stands twice", `redact(event, {fields = {"p"}})`, `{"p":1,"b":1.0,"p":2}`, `{"p":"<removed>","b":1.0,"p":"<removed>"}`},
		{"a field that the script added, or assigned", `event.new, event.p = 1, "x" event.t = {P = 1} redact(event, {fields = {"p", "new"}})`, `{"p":1,"z":1.0}`, `{"p":"<removed>","z":1.0,"new":"<removed>","t":{"P":"<removed>"}}`},
		{"a field is not looked into", `local _, n = redact(event, {fields = {"p"}}) assert(n == 1)`, `{"p":{"m":"a@b.de"}}`, `{"p":"<removed>"}`},
		{"no kinds, only fields", `redact(event, {kinds = {}, fields = {"p"}})`, `{"p":1,"m":"a@b.de"}`, `{"p":"<removed>","m":"a@b.de"}`},
		{"one kind", `redact(event, {kinds = {"card"}})`, `{"m":"a@b.de","c":"4111111111111111"}`, `{"m":"a@b.de","c":"<card>"}`},
		{"options out of the event", `redact(event.m, event.o)`, `{"o":{"kinds":["mail"],"fields":["P"]},"m":{"p":1,"c":"4111111111111111"}}`, `{"o":{"kinds":["mail"],"fields":["P"]},"m":{"p":"<removed>","c":"4111111111111111"}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := mustCompile(t, body(tc.script))
			for range 2 { // options and room are kept from event to event
				if got := sources(t, s, tc.in); len(got) != 1 || got[0] != tc.want {
					t.Fatalf("got  %s\nwant %s", got, tc.want)
				}
			}
		})
	}
}

// members are n members that have nothing to hide.
func members(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"k%d":%d.0`, i, i))
	}
	return strings.Join(all, ",")
}

func TestRedact_NothingToHideIsNotDecoded(t *testing.T) {
	s := mustCompile(t, body(`redact(event, {fields = {"password"}})`))
	rec := record(monolog)
	docs, usage, err := s.Transform(rec)
	if err != nil || &docs[0].Source[0] != &rec.Payload[0] {
		t.Fatalf("the event was copied: %v", err)
	}
	plain := mustCompile(t, body(``))
	_, without, _ := plain.Transform(rec)
	// The first call makes a Redactor and reads the options.
	_, usage, _ = s.Transform(rec)
	if more := usage.Memory - without.Memory; more > 8<<10 {
		t.Errorf("%d bytes for a look", more)
	}
	if s.w.nodes[0].scanned {
		t.Error("the event's members were looked for")
	}
}

func TestRedact_Values(t *testing.T) {
	for _, tc := range []struct{ name, script string }{
		{"a text gives the text and a number", `local t, n = redact("a@b.de and c@d.de") assert(t == "<mail> and <mail>" and n == 2)`},
		{"a text with nothing to hide", `local t, n = redact("nothing") assert(t == "nothing" and n == 0)`},
		{"a number that is a card", `local t, n = redact(4111111111111111) assert(t == "<card>" and n == 1)`},
		{"another number", `local t, n = redact(4711) assert(t == 4711 and n == 0)`},
		{"an exact number", `local x = json.decode("6304000000000000000") assert(redact(x) == "<card>") local y = json.decode("9304000000000000000") assert(redact(y) == y)`},
		{"nil, null and booleans come back", `assert(redact(nil) == nil) assert(redact(json.null) == json.null) assert(redact(true) == true)`},
		{"fields mean nothing for a text", `assert(redact("password", {fields = {"password"}}) == "password")`},
		{"bytes that are no UTF-8 stay", `assert(redact("\255a@b.de\254") == "\255<mail>\254")`},
		{"many options", `for i = 1, 100 do assert(select(2, redact({["f" .. i] = 1}, {fields = {"f" .. i}})) == 1) end`},
	} {
		t.Run(tc.name, func(t *testing.T) { sources(t, mustCompile(t, body(tc.script)), `{}`) })
	}
}

func TestEffects_WrongUse(t *testing.T) {
	for _, tc := range []struct{ name, call, want string }{
		{"redact without a value", `redact()`, "value expected"},
		{"redact of a function", `redact(print)`, "a text or a table is wanted, not a function"},
		{"redact of meta", `redact(meta)`, "cannot be changed"},
		{"redact of a library", `redact(string)`, "cannot be changed"},
		{"an unknown option", `redact("x", {kind = {"mail"}})`, "there is no option kind; kinds and fields can be set"},
		{"an unknown kind", `redact("x", {kinds = {"iban"}})`, `there is no kind "iban"; mail, card and token can be hidden`},
		{"kinds that are no list", `redact("x", {kinds = "mail"})`, "the option kinds must be a list of strings, not a string"},
		{"fields with a table", `redact("x", {fields = {{}}})`, "the option fields: element 1 is a table, not a string"},
		{"too many fields", `local t = {} for i = 1, 101 do t[i] = "x" end redact("x", {fields = t})`, "the option fields may have 100 elements, not 101"},
		{"a long field", `redact("x", {fields = {("x"):rep(129)}})`, "longer than 128 bytes"},
		{"options that are no table", `redact("x", "mail")`, "table expected"},
		{"hash of nothing", `hash.sha256(nil)`, "string expected, got nil"},
		{"base64 of a table", `base64.encode({})`, "string expected, got table"},
		{"uuid in a namespace that is none", `uuid.v5("x", "dns")`, "the namespace must be a UUID such as"},
		{"uuid in an empty namespace", `uuid.v5("x", "")`, "the namespace must be a UUID such as"},
		{"log without a text", `log.info()`, "value expected"},
		{"log with fields that are no table", `log.warn("x", "y")`, "table expected"},
		{"log with a table as name", `log.warn("x", {[{}] = 1})`, "must be strings, not a table"},
		{"a metric with upper case", `metric.inc("Logins")`, "lower-case letters, digits and _"},
		{"a metric with a hyphen", `metric.inc("a-b")`, "lower-case letters, digits and _"},
		{"a metric without a name", `metric.inc("")`, "lower-case letters, digits and _"},
		{"a long name", `metric.inc(("x"):rep(65))`, "at most 64 bytes"},
		{"a metric that says total itself", `metric.inc("logins_total")`, "leave _total out"},
		{"a label named script", `metric.inc("x", {script = 1})`, "the label script is weir's own"},
		{"a label with a dot", `metric.inc("x", {["a.b"] = 1})`, "not a.b"},
		{"a label that is a table", `metric.inc("x", {a = {}})`, "label a must be a text, a number or a boolean, not a table"},
		{"a label without a name", `metric.inc("x", {1})`, "names of labels must be strings, not a number"},
		{"too many labels", `metric.inc("x", {a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1})`, "at most 8 labels"},
		{"a counter that falls", `metric.inc("x", nil, -1)`, "can only grow"},
		{"a counter by nan", `metric.inc("x", nil, 0/0)`, "can only grow"},
		{"a counter by infinity", `metric.inc("x", nil, math.huge)`, "can only grow"},
		{"a library that is changed", `metric.inc = nil`, "cannot be changed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := mustCompile(t, body(tc.call)).Transform(record(`{}`))
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "script.lua:2:") {
				t.Errorf("got %v, want %q with its line", err, tc.want)
			}
		})
	}
}

// refRedact is what redact makes of compact JSON: what changes is written anew, everything else stays.
func refRedact(raw []byte, r *stdlib.Redactor) (out []byte, n int) {
	switch rawjson.KindOf(raw) {
	case rawjson.String:
		text, n := r.Text(rawjson.AppendUnquoted(nil, raw), &stdlib.Room{}, free)
		if n > 0 {
			return rawjson.AppendQuoted(nil, text), n
		}
	case rawjson.Number:
		if r.Number(raw) {
			return []byte(`"<card>"`), 1
		}
	case rawjson.Object:
		return refItems(raw, r, '{', '}', func(visit func(key, value []byte)) {
			it := rawjson.MembersOf(raw)
			for k, v, ok := it.Next(); ok; k, v, ok = it.Next() {
				visit(k, v)
			}
		})
	case rawjson.Array:
		return refItems(raw, r, '[', ']', func(visit func(key, value []byte)) {
			it := rawjson.ElementsOf(raw)
			for v, ok := it.Next(); ok; v, ok = it.Next() {
				visit(nil, v)
			}
		})
	}
	return raw, 0
}

func refItems(raw []byte, r *stdlib.Redactor, open, shut byte, each func(visit func(key, value []byte))) ([]byte, int) {
	out, total := []byte{open}, 0
	each(func(key, value []byte) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		if key != nil {
			out = append(append(out, key...), ':')
		}
		hidden, n := value, 0
		switch {
		case key != nil && r.Removes(rawjson.AppendUnquoted(nil, key)):
			if string(value) != `"<removed>"` {
				hidden, n = []byte(`"<removed>"`), 1
			}
		default:
			hidden, n = refRedact(value, r)
		}
		out = append(out, hidden...)
		total += n
	})
	return append(out, shut), total
}

// randomJSON makes compact JSON in the spellings that there are.
func randomJSON(rnd *rand.Rand, depth int) string {
	switch n := rnd.IntN(10); {
	case n < 3 && depth > 0:
		var items []string
		for range rnd.IntN(5) {
			items = append(items, randomString(rnd)+":"+randomJSON(rnd, depth-1))
		}
		return "{" + strings.Join(items, ",") + "}"
	case n < 5 && depth > 0:
		var items []string
		for range rnd.IntN(5) {
			items = append(items, randomJSON(rnd, depth-1))
		}
		return "[" + strings.Join(items, ",") + "]"
	case n < 6:
		return []string{"1", "1.0", "null", "true", "4111111111111111", "4.111111111111111e+15", "6304000000000000000", "1e400", "-0", "1767323045678"}[rnd.IntN(10)]
	}
	return randomString(rnd)
}

func randomString(rnd *rand.Rand) string {
	pieces := []string{"a", "note", "Password", "token", "x/y", "a@b.de", "@", "Müller ", "4111 1111 1111 1111", "411111111111111", "1", "Bearer abcDEF0123",
		"AKIAIOSFODNN7EXAMPLE", "\n", "%40", `"`, " "}
	var s strings.Builder
	for range rnd.IntN(4) {
		s.WriteString(pieces[rnd.IntN(len(pieces))])
	}
	quoted, _ := json.Marshal(s.String())
	switch rnd.IntN(3) {
	case 0:
		return strings.ReplaceAll(string(quoted), "/", `\/`)
	case 1: // some characters as escapes
		var out strings.Builder
		out.WriteByte('"')
		for _, c := range s.String() {
			if c < 0x80 && rnd.IntN(4) > 0 && c > ' ' && c != '"' && c != '\\' {
				out.WriteRune(c)
			} else {
				fmt.Fprintf(&out, `\u%04x`, c)
			}
		}
		return out.String() + `"`
	}
	return string(quoted)
}

// TestRedact_EqualsReference on random events: those that nobody has read, those that were read whole, and fields.
func TestRedact_EqualsReference(t *testing.T) {
	const walk = "local function walk(v) if type(v) == 'table' then for _, x in pairs(v) do walk(x) end end end "
	scripts := map[string]*Script{
		"unread": mustCompile(t, body(`event.n = select(2, redact(event.e, {fields = {"password", "x/y", "note"}}))`)),
		"read":   mustCompile(t, walk+body(`walk(event) event.n = select(2, redact(event.e, {fields = {"password", "x/y", "note"}}))`)),
	}
	r := stdlib.NewRedactor(stdlib.AllKinds, []string{"password", "x/y", "note"})
	rnd := rand.New(rand.NewPCG(5, 6))
	hidden, untouched := 0, 0
	for range 3000 {
		e := `{"a":` + randomJSON(rnd, 4) + `,"b":` + randomJSON(rnd, 4) + `}`
		want, n := refRedact([]byte(e), r)
		if hidden += n; n == 0 {
			untouched++
			if string(want) != e {
				t.Fatalf("the reference changes %s", e)
			}
		}
		for name, s := range scripts {
			got := sources(t, s, `{"e":`+e+`}`)[0]
			if got != `{"e":`+string(want)+`,"n":`+strconv.Itoa(n)+`}` {
				t.Fatalf("%s: %s\nbecame %s\nwant   %s (%d)", name, e, got, want, n)
			}
		}
	}
	if hidden < 1000 || untouched < 100 {
		t.Errorf("%d hidden, %d events untouched: the test tests little", hidden, untouched)
	}
}

func FuzzRedact(f *testing.F) {
	rnd := rand.New(rand.NewPCG(7, 8))
	for range 30 {
		f.Add([]byte(`{"a":` + randomJSON(rnd, 3) + `}`))
	}
	s := mustCompile(f, body(`redact(event, {fields = {"password"}})`))
	r := stdlib.NewRedactor(stdlib.AllKinds, []string{"password"})
	f.Fuzz(func(t *testing.T, payload []byte) {
		if !acceptable(payload) || len(payload) > 2048 {
			return
		}
		want, n := refRedact(payload, r)
		got := transformed(t, s, payload)
		switch {
		case got == nil:
		case n == 0 && string(got) != string(payload):
			t.Fatalf("%s has nothing to hide, and became %s", payload, got)
		case n > 0 && !sameJSON(t, got, want):
			t.Fatalf("%s\nbecame %s\nwant   %s", payload, got, want)
		}
	})
}

// sameJSON compares but for white space between tokens.
func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	return squeeze(a) == squeeze(b)
}

func squeeze(b []byte) string {
	var out strings.Builder
	quoted := false
	for i := 0; i < len(b); i++ {
		c := b[i]
		if quoted && c == '\\' {
			out.WriteByte(c)
			i++
			c = b[i]
		} else if c == '"' {
			quoted = !quoted
		}
		if quoted || !strings.ContainsRune(" \t\r\n", rune(c)) {
			out.WriteByte(c)
		}
	}
	return out.String()
}

func BenchmarkRedact(b *testing.B) {
	const long = `{"message":"User 4711 logged in from 10.2.3.4","context":{"user_id":4711,"service":"billing","ip":"10.2.3.4",` +
		`"roles":["admin","staff"],"request":{"method":"POST","path":"\/login","ms":12.5,"agent":"Mozilla\/5.0 (X11; Linux x86_64)"},` +
		`"order":{"id":"2026-000817","total":129.9,"items":3,"contact":"%s"}},"level":200,"level_name":"INFO",` +
		`"channel":"app","datetime":"2026-01-02T03:04:05.678901+00:00","extra":{"uid":"abc1234","memory_usage":"12 MB","pid":3211,"host":"web-01"}}`
	nothing, mail := fmt.Sprintf(long, "jo doe, by phone"), fmt.Sprintf(long, "jo.d@example.org")
	for _, bc := range []struct{ name, script, payload string }{
		{"event=nothing/script=untouched", ``, nothing},
		{"event=nothing/script=redact", `redact(event)`, nothing},
		{"event=nothing/script=fields", `redact(event, options)`, nothing},
		{"event=mail/script=redact", `redact(event)`, mail},
		{"event=mail/script=fields", `redact(event, options)`, mail},
	} {
		b.Run(bc.name, func(b *testing.B) {
			s := mustCompile(b, `local options = {fields = {"password", "token", "authorization"}} `+body(bc.script))
			rec := record(bc.payload)
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
