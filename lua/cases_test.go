package lua

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// caseScript is a script that cases are held against.
const caseScript = `
function transform(event, meta)
  if event.drop then return nil end
  if event.boom then error("no good") end
  if event.loop then while true do end end
  if event.route then meta.index, meta.id = "logs-" .. event.route, event.key end
  if event.split then return { part = 1 }, { part = 2 } end
  event.from = meta.stream .. " " .. tostring(meta.remote) .. " " .. meta.received_at .. " " .. meta.offset
  event.seen = true
  return event
end
`

// withCases is caseScript with one table of cases.
func withCases(cases string) string { return caseScript + "test_it = {\n" + cases + "\n}\n" }

func TestRunTests_Cases(t *testing.T) {
	const made = `from = "default nil 2000-01-01T00:00:00Z 1", seen = true`
	for _, tc := range []struct{ name, cases, want string }{ // want is part of the message; "" passes
		{"a document as a table, in another order", `{ event = { a = 1 }, want = { ` + made + `, a = 1 } }`, ""},
		{"a document as text, numbers written otherwise", `{ event = '{"a":1.0,"b":9007199254740993}', want = '{"b":9007199254740993,"a":1e0,"seen":true,"from":"default nil 2000-01-01T00:00:00Z 1"}' }`, ""},
		{"integers that are one float are told apart", `{ event = '{"b":9007199254740993}', want = '{"b":9007199254740992,"seen":true,"from":"default nil 2000-01-01T00:00:00Z 1"}' }`, "b is 9007199254740993, want 9007199254740992"},
		{"exact text", `{ event = '{"split":true}', exact = true, want = { '{"part":1}', '{"part":2}' } }`, ""},
		{"exact text in other bytes", `{ event = '{"split":true}', exact = true, want = { '{"part":1}', '{"part": 2}' } }`, `document 2 of 2: the same value in other bytes, from byte 8 on: 2}, want 2}`},
		{"meta is read", `{ event = {}, meta = { stream = "shop", remote = "10.1.2.3", received_at = "2026-01-02T03:04:05.5Z", offset = 7 }, want = { from = "shop 10.1.2.3 2026-01-02T03:04:05.5Z 7", seen = true } }`, ""},
		{"a field is another", `{ event = { a = { b = { 1, 2 } } }, want = { a = { b = { 1, 3 } }, ` + made + ` } }`, "a.b[2] is 2, want 3"},
		{"a field is missing", `{ event = {}, want = { a = "x", ` + made + ` } }`, `a is missing, want "x"`},
		{"a field is not wanted", `{ event = { a = json.null }, want = { ` + made + ` } }`, "a is null, and is not wanted"},
		{"a list is longer", `{ event = { a = { 1, 2 } }, want = { a = { 1 }, ` + made + ` } }`, "a has 2 elements, want 1"},
		{"kinds differ", `{ event = '{"a":[]}', want = { a = {}, ` + made + ` } }`, "a is [], want {}"},
		{"an empty list as such", `{ event = '{"a":[]}', want = { a = json.array(), ` + made + ` } }`, ""},
		{"several documents", `{ event = { split = 1 }, want = { { part = 1 }, { part = 2 } } }`, ""},
		{"fewer documents", `{ event = { split = 1 }, want = { part = 1 } }`, "2 documents, want 1"},
		{"a second document differs", `{ event = { split = 1 }, want = { { part = 1 }, { part = 3 } } }`, "document 2 of 2: part is 2, want 3"},
		{"dropped", `{ event = { drop = true }, dropped = true }`, ""},
		{"not dropped", `{ event = {}, dropped = true }`, "the event was not dropped: 1 document"},
		{"dropped, but wanted", `{ event = { drop = true }, want = {} }`, "the event was dropped"},
		{"an error", `{ event = { boom = 1 }, error = "no good" }`, ""},
		{"an error by its type", `{ event = { loop = 1 }, error = "timeout" }`, ""},
		{"another error", `{ event = { boom = 1 }, error = "bad" }`, `the event failed otherwise: error: script.lua:4: no good; want an error that says "bad"`},
		{"no error", `{ event = {}, error = "bad" }`, `the event did not fail: 1 document; want an error that says "bad"`},
		{"an error that was not wanted", `{ event = { boom = 1 }, want = {} }`, "the event failed: error: script.lua:4: no good"},
		{"settings", `{ event = { route = "a", key = "k" }, index = "logs-a", id = "k", pipeline = false, routing = false }`, ""},
		{"settings of several documents", `{ event = { route = "a", key = "k", split = 1 }, index = "logs-a", id = "k", pipeline = { false, false } }`, ""},
		{"settings as a list", `{ event = { route = "a", key = "k", split = 1 }, index = { "logs-a", "logs-a" }, id = { "k", "k-1" } }`, ""},
		{"a setting is another", `{ event = { route = "a", key = "k" }, index = "logs-b" }`, `index is "logs-a", want "logs-b"`},
		{"a setting is not set", `{ event = { split = 1 }, pipeline = { false, "p" } }`, `document 2 of 2: pipeline is not set, want "p"`},
		{"a list of settings that is too short", `{ event = { split = 1 }, index = { "x" } }`, "index is a list of 1 for 2 documents"},

		{"an unknown key", `{ name = "odd", event = {}, wnat = {} }`, "a case has no key wnat; its keys are dropped, error, event, exact, id, index, meta, name, pipeline, routing, want"},
		{"an unknown key of meta", `{ event = {}, meta = { steam = "x" }, dropped = true }`, "meta: meta has no key steam; its keys are offset, received_at, remote, stream"},
		{"no event", `{ dropped = true }`, "the case has no event"},
		{"nothing expected", `{ event = {} }`, "does not say what shall become of the event"},
		{"two results at once", `{ event = {}, dropped = true, want = {} }`, "do not go together"},
		{"exact without text", `{ event = {}, exact = true, want = {} }`, "exact needs want as JSON text"},
		{"dropped is false", `{ event = {}, dropped = false }`, "dropped: must be true, or be left out"},
		{"text that is no JSON", `{ event = '{"a":', dropped = true }`, "event: the text is not JSON: unexpected end of JSON input"},
		{"text that is no object", `{ event = '[1]', dropped = true }`, "event: the text is JSON, but no object"},
		{"a list as an event", `{ event = { 1 }, dropped = true }`, "event: must be an object, not a list"},
		{"a table of json.decode", `{ event = json.decode('{}'), dropped = true }`, "write a table, or the JSON text itself"},
		{"what cannot be JSON", `{ event = { a = { print } }, dropped = true }`, "event: a[1]: a function cannot be JSON"},
		{"an empty list of documents", `{ event = {}, want = json.array() }`, "want: the list is empty; say dropped = true"},
		{"an empty name of an index", `{ event = {}, index = "" }`, "index: must be a string that is not empty, not an empty one; false means that it is not set"},
		{"a time that is none", `{ event = {}, meta = { received_at = "now" }, dropped = true }`, `meta: received_at: "now" is no time: write it like 2026-01-02T03:04:05Z`},
		{"an address that is none", `{ event = {}, meta = { remote = "here" }, dropped = true }`, `meta: remote: "here" is no IP address`},
		{"an offset that is none", `{ event = {}, meta = { offset = 1.5 }, dropped = true }`, "meta: offset: must be a whole number from 1"},
		{"no table", `"x"`, "a case must be a table, not a string"},
		{"no list", `a = { event = {}, dropped = true }`, "the table must be a list of cases, { { event = ..., want = ... }, ... }; it has the key a"},
		{"no cases", ``, "the table holds no cases"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := mustCompile(t, withCases(tc.cases))
			s.opts.Timeout = time.Millisecond
			results, err := s.RunTests(t.Context())
			if err != nil || len(results) != 1 {
				t.Fatalf("%+v %v", results, err)
			}
			r := results[0]
			if tc.want == "" && !r.Passed() || !strings.Contains(r.Message, tc.want) || tc.want != "" && r.Passed() {
				t.Errorf("message %q, want %q", r.Message, tc.want)
			}
			if r.Kind != KindCase || r.Passed() != (s.SelfTest(t.Context()) == nil) {
				t.Errorf("%+v, self test %v", r, s.SelfTest(t.Context()))
			}
		})
	}
}

// TestRunTests_NamesAndLines: tests come in the order of the script and say where they stand.
func TestRunTests_NamesAndLines(t *testing.T) {
	s := mustCompile(t, caseScript+`
function test_first() assert(true) end
test_table = {
  { name = "drops", event = { drop = true }, dropped = true },
  {
    event = { boom = 1 }, error = "no good" },
}
test_elsewhere = (function() return { { name = 7, event = {}, index = false } } end)()
test_number = 5
function test_last() error("told you") end
`)
	results, err := s.RunTests(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		kind   TestKind
		name   string
		line   int
		passed bool
	}
	var got []row
	for _, r := range results {
		got = append(got, row{r.Kind, r.Name, r.Line, r.Passed()})
	}
	want := []row{
		{KindFunction, "test_first", 13, true}, {KindCase, "test_table: drops", 15, true}, {KindCase, "test_table: case 2", 16, true},
		{KindCase, "test_elsewhere: 7", 0, true}, {KindFunction, "test_last", 21, false},
	}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
}

// TestRunTests_AfterAnOverrun: a case that costs the state leaves the cases behind it whole.
func TestRunTests_AfterAnOverrun(t *testing.T) {
	s := mustCompile(t, withCases(`
  { event = { loop = 1 }, error = "timeout" },
  { event = { a = json.array() }, want = '{"a":[],"seen":true,"from":"default nil 2000-01-01T00:00:00Z 1"}' },`))
	s.opts.Timeout = time.Millisecond
	if err := s.SelfTest(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRunTests_ShowsWhatDiffers(t *testing.T) {
	s := mustCompile(t, withCases(`{ event = '{"z":1.0,"a":"\\u0041"}', want = { a = "A", z = 1, from = "x", seen = true } }`))
	results, err := s.RunTests(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const head, tail = "{\n  \"a\": \"A\",\n  \"from\": ", ",\n  \"seen\": true,\n  \"z\": 1\n}"
	if want := head + `"x"` + tail; results[0].Want != want {
		t.Errorf("want is %s, should be %s", results[0].Want, want)
	}
	if got := head + `"default nil 2000-01-01T00:00:00Z 1"` + tail; results[0].Got != got {
		t.Errorf("got is %s, should be %s", results[0].Got, got)
	}
}

func TestSelfTest_ManyFailures_NamesTheFirst(t *testing.T) {
	s := mustCompile(t, withCases(strings.Repeat(`{ event = {}, dropped = true },`, 40)))
	err := s.SelfTest(t.Context())
	if !errors.Is(err, ErrTestsFailed) || strings.Count(err.Error(), "was not dropped") != maxNamedFailures || !strings.Contains(err.Error(), "and 35 more") {
		t.Error(err)
	}
}

func TestRunTests_TakeTooLong(t *testing.T) {
	s := mustCompile(t, withCases(`{ event = {}, want = {} }, { event = {}, want = {} }`))
	s.testTime = -1
	if _, err := s.RunTests(t.Context()); err == nil || !strings.Contains(err.Error(), "2 of 2 were not run") {
		t.Error(err)
	}
}

// TestRunTests_LeaveNothingBehind: a global of one test is not there in the next.
func TestRunTests_LeaveNothingBehind(t *testing.T) {
	s := mustCompile(t, `
function transform(event)
  event.before, count = count, (count or 0) + 1
  return event
end
function test_one() transform({}) assert(count == 1) end
test_two = { { event = {}, want = {} }, { event = {}, want = {} } }
function test_three() assert(count == nil) end
`)
	if err := s.SelfTest(t.Context()); err != nil {
		t.Error(err)
	}
	if got := sources(t, s, `{}`); got[0] != `{}` {
		t.Error(got)
	}
}

// TestDocs_Testing runs the tests that docs/lua.md shows, over the script that it shows.
func TestDocs_Testing(t *testing.T) {
	manual, err := os.ReadFile("../docs/lua.md")
	if err != nil {
		t.Fatal(err)
	}
	script, _ := luaBlocks(section(string(manual), "## The contract"))
	_, tests := luaBlocks(section(string(manual), "## Testing"))
	s := mustCompile(t, script+tests)
	results, err := s.RunTests(t.Context())
	if err != nil || len(results) != 4 {
		t.Fatalf("%+v %v", results, err)
	}
	if err := s.SelfTest(t.Context()); err != nil {
		t.Error(err)
	}
}

// section is the text below a heading, up to the next one of its level.
func section(text, heading string) string {
	_, text, _ = strings.Cut(text, "\n"+heading+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// luaBlocks returns the first Lua of a text, and all of it.
func luaBlocks(text string) (first, all string) {
	for {
		_, rest, ok := strings.Cut(text, "```lua\n")
		if !ok {
			return first, all
		}
		block, rest, _ := strings.Cut(rest, "```")
		if first == "" {
			first = block
		}
		all, text = all+block, rest
	}
}

func TestScript_Measured(t *testing.T) {
	s := mustCompile(t, body(`for i = 1, event.n do event.x = i end`))
	_, short, err := s.Measured(record(`{"n":1}`))
	if err != nil {
		t.Fatal(err)
	}
	docs, long, err := s.Measured(record(`{"n":5000}`))
	if err != nil || string(docs[0].Source) != `{"n":5000,"x":5000}` || short.Time <= 0 || long.Time <= short.Time || long.Memory <= 0 {
		t.Errorf("%s %+v %+v %v", docs[0].Source, short, long, err)
	}
}

// TestRunTests_State: each test finds the state as it is declared, also behind one that cost the Lua state.
func TestRunTests_State(t *testing.T) {
	s := mustCompile(t, `
state = { seen = 0 }
function transform(event)
  state.seen = state.seen + 1
  if event.loop then while true do end end
  emit({ seen = state.seen }, { index = "logs-a" })
end
test_state = {
  { event = {}, want = { seen = 1 }, index = "logs-a" },
  { event = { loop = 1 }, error = "timeout" },
  { event = {}, want = { seen = 1 } },
}
function test_function() transform({}) assert(state.seen == 1) end
`)
	s.opts.Timeout = time.Millisecond
	if err := s.SelfTest(t.Context()); err != nil {
		t.Error(err)
	}
	if got := sources(t, s, `{}`); got[0] != `{"seen":1}` {
		t.Error(got)
	}
}
