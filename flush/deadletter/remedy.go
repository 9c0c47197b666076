package deadletter

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weirlog/weir/flush"
)

// Remedy is lines of Lua that make letters of one cause deliverable: the middle of a transform(event, meta) that returns the event.
type Remedy struct {
	Does string `json:"does"` // what it does, in a few words
	Lua  string `json:"lua"`
}

const (
	// maxTerm is the longest value that Lucene indexes in one piece, in bytes.
	maxTerm = 32766
	// cutTerm is where a remedy cuts a longer one: a character that is cut apart may grow to some bytes.
	cutTerm = 32000
	// elsewhere is the index that a remedy reroutes to. It is among those that elasticsearch.allowed_indices allows by default.
	elsewhere = `"logs-rest-" .. meta.stream`
)

var reroute = Remedy{"sends the document to another index", "meta.index = " + elsewhere}

// remedies proposes what to do about a cause, the best first. document is an example of what was refused; nil when there is none to
// look at.
func remedies(c Cause, typ, reason string, document []byte) []Remedy {
	doc := decodeDocument(document)
	switch c.Kind {
	case CauseType, CauseObject, CauseTooLong:
		if c.Field == "@timestamp" {
			return []Remedy{keepTimestamp}
		}
		p := locate(doc, c.Field, faultyFor(c))
		if slices.Contains(textTypes, c.Wanted) || c.Kind == CauseTooLong {
			return []Remedy{p.stringify(), p.drop()}
		}
		return []Remedy{p.moveToText(c), p.drop()}
	case CauseStrict:
		p := locate(doc, c.Field, func(any) bool { return true })
		return []Remedy{p.drop(), reroute}
	case CauseReserved:
		p := locate(doc, c.Field, func(any) bool { return true })
		return []Remedy{p.rename(strings.TrimLeft(p.key(), "_") + "_value"), p.drop()}
	case CauseLimit:
		if limit := depthLimit(reason); limit > 0 {
			return []Remedy{flatten(limit)}
		}
		return []Remedy{reroute}
	case CauseDuplicate:
		p := plainPlace(c.Field)
		return []Remedy{p.once()}
	case CauseTimestamp:
		return []Remedy{keepTimestamp}
	case CauseIndex:
		return []Remedy{reroute}
	}
	if c.Kind == CauseName || typ == "mapper_parsing_exception" && reason == "failed to parse" {
		// OpenSearch may leave it at that; a name that cannot be mapped shows by itself.
		if p, ok := locateName(doc, nil); ok {
			return []Remedy{p.rename(goodName(p.key())), p.drop()}
		}
	}
	return nil
}

// flatten leaves what is not nested too deeply as it is: a patch goes over all letters of a replay.
func flatten(limit int) Remedy {
	return Remedy{fmt.Sprintf("keeps what is nested deeper than %d fields as text", limit), fmt.Sprintf(
		`local function flat(t, n) for k, v in pairs(t) do if type(v) == "table" then local m = type(k) == "number" and n - 1 or n; if m >= %d then t[k] = json.encode(v) else flat(v, m + 1) end end end end
flat(event, 1)`, limit)}
}

// keepTimestamp gives a document the time of receipt, and keeps what stood there as text.
var keepTimestamp = Remedy{"takes the time of receipt as @timestamp and keeps what was there as text",
	`local v = event["@timestamp"]
if v ~= nil then event.timestamp_text = type(v) == "table" and json.encode(v) or tostring(v) end event["@timestamp"] = meta.received_at`}

// goodName makes a name that can be mapped of one that cannot.
func goodName(key string) string {
	parts := strings.Split(key, ".")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return strings.Trim(strings.Join(parts, "_"), "_") + "_unnamed"
}

// key is the field itself, without what it is in.
func (p *place) key() string { return p.steps[len(p.steps)-1].key }

// fieldName writes a field for people: a.b[].c.
func (p *place) fieldName() string {
	var b strings.Builder
	for i, s := range p.steps {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(s.key)
		if s.list && i < len(p.steps)-1 {
			b.WriteString("[]")
		}
	}
	return b.String()
}

// variables are the names of the tables that a remedy walks through.
var variables = []string{"p", "q", "r", "s", "t", "u"}

// at writes Lua that reaches the object which holds the field, whatever is missing or no table on the way, and does something there:
// holder is the Lua name of that object.
func (p *place) at(do func(holder string) string) string {
	return walkTo("event", p.steps[:len(p.steps)-1], 0, do)
}

func walkTo(holder string, steps []hop, depth int, do func(holder string) string) string {
	if len(steps) == 0 {
		return do(holder)
	}
	name := variables[depth%len(variables)]
	reach := fmt.Sprintf("local %s = %s", name, ref(holder, steps[0].key))
	i := 0
	for ; !steps[i].list && i+1 < len(steps); i++ {
		reach += fmt.Sprintf("; %s = type(%s) == \"table\" and %s", name, name, ref(name, steps[i+1].key))
	}
	if !steps[i].list {
		return reach + "\n" + fmt.Sprintf("if type(%s) == \"table\" then %s end", name, do(name))
	}
	element := variables[(depth+1)%len(variables)]
	inner := walkTo(element, steps[i+1:], depth+2, do)
	inner = strings.ReplaceAll(inner, "\n", " ")
	return reach + "\n" + fmt.Sprintf("for _, %s in ipairs(type(%s) == \"table\" and %s or {}) do if type(%s) == \"table\" then %s end end", element, name, name, element, inner)
}

// moveToText keeps a value that does not fit as text, under another name.
func (p *place) moveToText(c Cause) Remedy {
	if p.dotted { // its value is not at fault, its name is
		return p.rename(strings.ReplaceAll(p.key(), ".", "_"))
	}
	return p.remedy("keeps it as text in "+p.sibling(p.key()+"_text"), func(holder string) string {
		old, text := ref(holder, p.key()), ref(holder, strings.ReplaceAll(p.key(), ".", "_")+"_text")
		return fmt.Sprintf(`local v = %s; if v ~= nil and v ~= json.null%s then %s, %s = type(v) == "table" and json.encode(v) or tostring(v), nil end`,
			old, p.guard(c), text, old)
	})
}

// guard leaves values alone that the field takes, where Lua can tell: a patch goes over all letters of a replay.
func (p *place) guard(c Cause) string {
	_, isList := p.value.([]any)
	switch {
	case !p.found || isList || c.Kind != CauseType && c.Kind != CauseObject:
		return ""
	case integerBits[c.Wanted] > 0 && isNumber(p.value):
		return fmt.Sprintf(" and math.abs(tonumber(v) or 1/0) >= 2^%d", integerBits[c.Wanted])
	case isNumeric(c.Wanted) && !isNumber(p.value):
		return ` and (type(v) == "table" or tonumber(v) == nil)`
	case c.Wanted == "boolean":
		return ` and type(v) ~= "boolean"`
	case c.Wanted == "object":
		return ` and type(v) ~= "table"`
	case strings.HasPrefix(c.Wanted, "date") && !isNumber(p.value):
		return ` and not tostring(v):match("^%d%d%d%d%-%d%d%-%d%dT")`
	}
	return ""
}

// stringify makes text of a table, and cuts text that is too long.
func (p *place) stringify() Remedy {
	if s, ok := p.value.(string); ok && len(s) > cutTerm {
		return p.remedy(fmt.Sprintf("cuts it to %d bytes", cutTerm), func(holder string) string {
			field := ref(holder, p.key())
			return fmt.Sprintf(`local v = %s; if type(v) == "string" and #v > %d then %s = v:sub(1, %d) end`, field, cutTerm, field, cutTerm)
		})
	}
	if p.dotted {
		return p.rename(strings.ReplaceAll(p.key(), ".", "_"))
	}
	return p.remedy("writes it as text", func(holder string) string {
		field := ref(holder, p.key())
		return fmt.Sprintf(`local v = %s; if type(v) == "table" then %s = json.encode(v) end`, field, field)
	})
}

// rename gives the field another name in the same object.
func (p *place) rename(name string) Remedy {
	return p.remedy("renames it to "+p.sibling(name), func(holder string) string {
		old := ref(holder, p.key())
		return fmt.Sprintf("if %s ~= nil then %s, %s = %s, nil end", old, ref(holder, name), old, old)
	})
}

func (p *place) drop() Remedy {
	return p.remedy("leaves it out of the document", func(holder string) string {
		field := ref(holder, p.key()) // looked at first: to assign to a list by name is an error, also nil
		return fmt.Sprintf("if %s ~= nil then %s = nil end", field, field)
	})
}

// once keeps the last of several fields of one name.
func (p *place) once() Remedy {
	return p.remedy("keeps the last one", func(holder string) string {
		field := ref(holder, p.key())
		return fmt.Sprintf("local v = %s; if v ~= nil then %s = nil; %s = v end", field, field, field)
	})
}

func (p *place) remedy(does string, do func(holder string) string) Remedy {
	return Remedy{Does: does, Lua: p.at(do)}
}

// sibling writes the name of another field in the same object.
func (p *place) sibling(key string) string {
	other := place{steps: slices.Clone(p.steps)}
	other.steps[len(other.steps)-1] = hop{key: key}
	return other.fieldName()
}

var luaWords = strings.Fields("and break do else elseif end false for function goto if in local nil not or repeat return then true until while")

// ref writes a field of a table: t.name, or t["any text"].
func ref(table, key string) string {
	if isLuaName(key) {
		return table + "." + key
	}
	return table + "[" + quoteLua(key) + "]"
}

func isLuaName(key string) bool {
	for i := range len(key) {
		c := key[i]
		if !(c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return key != "" && !slices.Contains(luaWords, key)
}

// quoteLua writes a string of Lua in one line.
func quoteLua(s string) string {
	b := []byte{'"'}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = fmt.Appendf(b, "\\%03d", c)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}

// advice says what to do where no line of Lua helps, by stage or error type; "" when nothing is known beside the remedies.
func advice(stage flush.Stage, typ string, c Cause) string {
	switch stage {
	case flush.StageIngest:
		return "mend the client; weir dlq edit KEY makes an event of the bytes, weir dlq drop gives them up"
	case flush.StageLog:
		return "bytes on the disk are damaged: see docs/operations.md, then weir dlq drop"
	case flush.StageTransform:
		if typ == flush.TypeIndexNotAllowed {
			return "add the index to elasticsearch.allowed_indices, or mend the script; then weir dlq replay"
		}
		return "mend the script, the reason names the line; then weir dlq replay. Or replay --with a patch that runs before the script"
	}
	if c.Kind == CauseLimit {
		return "or raise the limit in the index's settings (index.mapping.*.limit); then weir dlq replay"
	}
	return adviceByType[typ]
}

var adviceByType = map[string]string{
	"index_closed_exception":     "open the index; then weir dlq replay",
	"cluster_block_exception":    "lift the block of the index (index.blocks.*, or free disk space); then weir dlq replay",
	"security_exception":         "give the credentials the privilege create_doc on the index; then weir dlq replay",
	"index_not_found_exception":  "create the index, or let the server create it; then weir dlq replay",
	"fail_processor_exception":   "mend the ingest pipeline, or what it refuses; then weir dlq replay",
	"ingest_processor_exception": "mend the ingest pipeline, or what it fails on; then weir dlq replay",
	"script_exception":           "mend the script of the ingest pipeline; then weir dlq replay",
	"failure_store":              "mend the mapping or the pipeline of the data stream; then weir dlq replay",
	"mapper_parsing_exception":   "weir dlq show KEY shows the document",
	"document_count":             "the script makes another number of documents now: weir dlq replay --as-new, or --as-sent",
}
