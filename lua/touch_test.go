package lua

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/flush/rawjson"
)

// touchScript does to event.doc what event.ops says. operation.apply does the same to the model.
const touchScript = `
local function isList(t) return not pcall(rawset, t, "\1", nil) end

local function pick(t, i)
	local keys = {}
	for k in pairs(t) do keys[#keys + 1] = k end
	if #keys > 0 then return keys[i % #keys + 1] end
end

local function find(t, path)
	for _, step in ipairs(path) do
		local keys = {}
		for k, v in pairs(t) do if type(v) == "table" then keys[#keys + 1] = k end end
		if #keys == 0 then return t end
		t = t[keys[step % #keys + 1]]
	end
	return t
end

local function place(t, at, name, v)
	if isList(t) then table.insert(t, at % (#t + 1) + 1, v) else t[name] = v end
end

local function remove(t, k)
	if isList(t) then table.remove(t, k) else t[k] = nil end
end

local function fresh(v)
	if type(v) == "table" then return json.decode(json.encode(v)) end
	return v
end

local function walk(t)
	for _, v in pairs(t) do if type(v) == "table" then walk(v) end end
end

local ops = {}
function ops.set(a, k, _, op) if k then a[k] = fresh(op.value) end end
function ops.add(a, _, _, op) place(a, op.i, op.name, fresh(op.value)) end
function ops.delete(a, k) if k then remove(a, k) end end
function ops.move(a, k, b, op)
	if k then
		local v = a[k]
		remove(a, k)
		place(b, op.j, op.name, v)
	end
end
function ops.alias(a, k, b, op) if k then place(b, op.j, op.name, a[k]) end end
function ops.swap(a, k, _, op)
	local l = pick(a, op.j)
	if k then a[k], a[l] = a[l], a[k] end
end
function ops.sort(a)
	for _, v in pairs(a) do if type(v) == "table" then return end end
	if isList(a) then table.sort(a, function(x, y) return json.encode(x) < json.encode(y) end) end
end
function ops.wrap(a, k) if k then a[k] = {x = a[k]} end end
function ops.list(a, k) if k then a[k] = json.array({a[k]}) end end
function ops.copy(a, k, b, op) if k then place(b, op.j, op.name, json.decode(json.encode(a[k]))) end end
function ops.read(a) walk(a) assert(next(a) == pick(a, 0)) end

function transform(event)
	for _, op in ipairs(event.ops) do
		local a, b = find(event.doc, op.a), find(event.doc, op.b)
		ops[op["do"]](a, pick(a, op.i), b, op)
	end
	return event
end`

// operation is one change of a document.
type operation struct {
	Do    string          `json:"do"`
	A     []int           `json:"a"` // a way down to a table
	I     int             `json:"i"`
	B     []int           `json:"b"`
	J     int             `json:"j"`
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
}

// apply changes the model. False when the operation would make a table contain itself, or the document large.
func (o *operation) apply(t testing.TB, doc *value) bool {
	a, b := doc.find(o.A), doc.find(o.B)
	s := a.pick(o.I)
	if s == nil && o.Do != "add" {
		return true
	}
	var x *value
	if s != nil {
		x = s.value
	}
	switch o.Do {
	case "set":
		a.assign(s, parseModel(t, o.Value))
	case "add":
		a.place(o.I, o.Name, parseModel(t, o.Value))
	case "delete":
		a.remove(s)
	case "move", "alias":
		if size := 1000; x.contains(b, &size) {
			return false
		}
		if o.Do == "move" {
			a.remove(s)
		}
		b.place(o.J, o.Name, x)
	case "swap":
		other := a.pick(o.J)
		y := other.value
		a.assign(s, y)
		a.assign(other, x)
	case "sort":
		a.sortScalars()
	case "wrap":
		a.assign(s, &value{kind: rawjson.Object, members: []*slot{{name: "x", value: x}}})
	case "list":
		a.assign(s, &value{kind: rawjson.Array, members: []*slot{{value: x}}})
	case "copy":
		b.place(o.J, o.Name, parseModel(t, []byte(x.encode())))
	}
	size := 5000
	return !doc.contains(nil, &size)
}

var (
	operations = []string{"set", "add", "delete", "move", "alias", "swap", "sort", "wrap", "list", "copy", "read"}
	names      = []string{"a", "b", "", "x", "é", "a\"b", "\u0000", "k7", "new"}
	scalars    = []string{`1`, `1.0`, `-0`, `1e400`, `9007199254740993`, `"s"`, `""`, `"\u00e9\/"`, `true`, `false`, `null`, `[]`, `{}`, `[1.0,{"q":2.50}]`, `{"y":[],"y":1}`}
)

// operationsOf reads operations from bytes, so that the fuzzer can vary them.
func operationsOf(b []byte) []operation {
	var ops []operation
	for ; len(b) >= 8 && len(ops) < 40; b = b[8:] {
		ops = append(ops, operation{
			Do: operations[int(b[0])%len(operations)],
			A:  []int{int(b[1] >> 4), int(b[1] & 15)}[:b[2]%3], I: int(b[3]),
			B: []int{int(b[4] >> 4), int(b[4] & 15)}[:b[5]%3], J: int(b[6]),
			Name: names[int(b[2]/3)%len(names)], Value: json.RawMessage(scalars[int(b[7])%len(scalars)]),
		})
	}
	return ops
}

// checkTouch compares what the script makes of doc with what the model makes of it.
func checkTouch(t *testing.T, s *Script, doc []byte, ops []operation) {
	t.Helper()
	model := parseModel(t, doc)
	for i := range ops {
		if !ops[i].apply(t, model) {
			ops = ops[:i]
			model = parseModel(t, doc)
			for j := range ops {
				ops[j].apply(t, model)
			}
			break
		}
	}
	list, err := json.Marshal(ops)
	if err != nil {
		t.Fatal(err)
	}
	if len(ops) == 0 {
		list = []byte("[]")
	}
	event := fmt.Appendf(nil, `{"ops":%s,"doc":%s,"end":1.0}`, list, doc)
	got := transformed(t, s, event)
	if got == nil {
		return
	}
	if len(ops) == 0 && !bytes.Equal(got, event) {
		t.Fatalf("untouched: %s\nbecame %s", event, got)
	}
	want := fmt.Sprintf(`{"ops":%s,"doc":%s,"end":1.0}`, list, model.encode())
	if is, should := parseModel(t, got).encode(), parseModel(t, []byte(want)).encode(); is != should {
		at := 0
		for at < min(len(is), len(should)) && is[at] == should[at] {
			at++
		}
		t.Fatalf("ops %s of doc %.2000s\ngive     %.100s\ninstead of %.100s", list, doc, is[max(at-40, 0):], should[max(at-40, 0):])
	}
	if !bytes.HasPrefix(got, fmt.Appendf(nil, `{"ops":%s,"doc":`, list)) || !bytes.HasSuffix(got, []byte(`,"end":1.0}`)) {
		t.Fatalf("what nobody touched has changed: %s became %s", event, got)
	}
}

// randomDoc makes JSON of every kind, with duplicates, escapes and odd numbers.
func randomDoc(r *rand.Rand, depth int) string {
	if depth == 0 || r.IntN(4) == 0 {
		return scalars[r.IntN(len(scalars))]
	}
	n := r.IntN(5)
	if r.IntN(8) == 0 {
		n = indexFrom - 2 + r.IntN(5) // about where an object gets a map of its members
	}
	var parts []string
	object := r.IntN(3) > 0
	for i := range n {
		v := randomDoc(r, depth-1)
		if object {
			name := names[r.IntN(len(names))]
			if n > len(names) && r.IntN(6) > 0 {
				name = "n" + strconv.Itoa(i)
			}
			v = string(rawjson.AppendQuoted(nil, name)) + ":" + v
		}
		parts = append(parts, v)
	}
	if object {
		return "{" + strings.Join(parts, ",") + "}"
	}
	return "[" + strings.Join(parts, ",") + "]"
}

func touching(t testing.TB) *Script {
	t.Helper()
	s, err := Compile("touch.lua", []byte(touchScript), Options{Timeout: time.Minute, MaxMemory: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTransform_Touched: what random changes make of random documents is what they make of the model.
func TestTransform_Touched(t *testing.T) {
	s := touching(t)
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 7))
		doc := ""
		for doc == "" || doc[0] != '{' && doc[0] != '[' {
			doc = randomDoc(r, 3)
		}
		b := make([]byte, 8*r.IntN(12))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		checkTouch(t, s, []byte(doc), operationsOf(b))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// FuzzTouch is the same for documents and changes that the fuzzer finds.
func FuzzTouch(f *testing.F) {
	for i := range operations {
		f.Add([]byte(monolog), []byte{byte(i), 0x12, 1, 3, 0x21, 2, 5, 9, byte(i + 3), 1, 2, 3, 4, 5, 6, 7})
	}
	f.Add([]byte(`{"a":[1.0,{"b":[]},null,[[{}]]],"a":1e400,"\u0061":{"x":12345678901234567890}}`), []byte("0123456789abcdefghijklmnopqrstuv"))
	s := touching(f)
	f.Fuzz(func(t *testing.T, doc, changes []byte) {
		var compact bytes.Buffer
		if len(doc) > 4096 || !acceptable(doc) || json.Compact(&compact, doc) != nil || bytes.Count(doc, []byte{'{'})+bytes.Count(doc, []byte{'['}) > 200 {
			return
		}
		checkTouch(t, s, compact.Bytes(), operationsOf(changes))
	})
}
