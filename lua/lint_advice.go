package lua

// What a script has in place of names that it may know from elsewhere: Lua 5.1 and later outside of a
// sandbox, other log shippers, other languages. A test makes sure that docs/lua.md has what is recommended.
const (
	noFiles   = "a script reaches no files"
	noOS      = "a script reaches nothing of the machine"
	noCode    = "a script is one file and runs no other code"
	noClock   = "a script has no clock; use meta.received_at, time.parse and time.format"
	noDebug   = "a script cannot look into the interpreter"
	noEnv     = "environments of functions cannot be changed"
	noNetwork = "a script reaches no network"
	useFormat = "use string.format"
	usePrefix = "use s:sub(1, #prefix) == prefix"
	useSuffix = "use s:sub(-#suffix) == suffix"
	useTrim   = "use s:match(\"^%s*(.-)%s*$\")"
	useSplit  = "use s:gmatch(\"[^,]+\"), or csv and kv for their formats"
	usePlain  = "use s:find(text, 1, true)"
	useRE     = "use re.match, re.find and re.gsub"
	useDecode = "use json.decode"
	useEncode = "use json.encode"
	useLog    = "use log.info and log.warn"
)

var advice = map[string]string{
	"os": noOS, "os.time": noClock, "os.date": noClock, "os.clock": noClock, "os.difftime": noClock, "os.getenv": noOS,
	"time.now": noClock, "time.time": noClock, "time.date": "use time.format", "time.strftime": "use time.format", "time.strptime": "use time.parse",
	"now": noClock, "date": noClock,
	"io": noFiles, "file": noFiles, "socket": noNetwork, "http": noNetwork, "ngx": "a script runs in weir, not in a web server",

	"require": noCode, "module": noCode, "package": noCode, "dofile": noCode, "loadfile": noCode,
	"load": noCode, "loadstring": noCode, "string.dump": noCode, "setfenv": noEnv, "getfenv": noEnv,
	"debug": noDebug, "collectgarbage": "weir bounds memory itself (transform.max_memory)", "newproxy": "use setmetatable({}, mt)",
	"arg": "use select(\"#\", ...) and { ... }", "rawlen": "use the operator #", "jit": "there is no compiler to control",
	"bit": "Lua 5.1 has no operators on bits", "bit32": "Lua 5.1 has no operators on bits", "utf8": "strings are bytes; re knows UTF-8",

	"table.unpack": "use unpack", "table.pack": "use { ... } and select(\"#\", ...)", "table.move": "copy in a loop",
	"table.foreach": "use for k, v in pairs(t)", "table.foreachi": "use for i, v in ipairs(t)", "table.size": "use #t", "table.length": "use #t",
	"table.contains": "compare in a loop over ipairs(t), or keep a table with the values as keys", "table.push": "use table.insert",
	"math.tointeger": "numbers are float64; use math.floor", "math.type": "all numbers are float64", "math.maxinteger": "numbers are float64; whole ones are exact to 2^53",
	"math.round": "use math.floor(x + 0.5)",

	"string.split": useSplit, "string.trim": useTrim, "string.strip": useTrim, "string.startswith": usePrefix, "string.starts_with": usePrefix,
	"string.startsWith": usePrefix, "string.endswith": useSuffix, "string.ends_with": useSuffix, "string.endsWith": useSuffix,
	"string.contains": usePlain, "string.includes": usePlain, "string.indexOf": usePlain, "string.replace": "use s:gsub(pattern, replacement)",
	"string.join": "use table.concat", "string.concat": "use .. or table.concat", "string.length": "use #s", "string.size": "use #s",
	"string.toLowerCase": "use s:lower()", "string.toUpperCase": "use s:upper()", "string.substring": "use s:sub(i, j)", "string.substr": "use s:sub(i, j)",
	"string.pack": "Lua 5.1 has it not", "string.unpack": "Lua 5.1 has it not", "string.packsize": "Lua 5.1 has it not",
	"string.tonumber": "use tonumber(s)",

	"json.parse": useDecode, "json.load": useDecode, "json.loads": useDecode, "json.stringify": useEncode, "json.dump": useEncode, "json.dumps": useEncode,
	"cjson": "use json.encode, json.decode and json.null", "dkjson": "use json.encode, json.decode and json.null", "JSON": "use json.encode, json.decode and json.null",
	"null": "use json.null for a null, nil for what is not there", "NULL": "use json.null for a null, nil for what is not there",
	"None": "use json.null for a null, nil for what is not there", "undefined": "use nil",
	"True": "write true", "False": "write false", "self": "it exists in functions that are defined with a colon",

	"regex": useRE, "regexp": useRE, "rex": useRE, "re.search": "use re.find", "re.sub": "use re.gsub", "re.replace": "use re.gsub", "re.test": "use re.match",
	"log.error": useLog, "log.err": useLog, "log.debug": "print writes to weir's log on level debug", "console": useLog, "logger": useLog, "printf": useFormat,
	"sprintf": useFormat, "len": "use the operator #", "str": "use tostring", "int": "use tonumber and math.floor", "float": "use tonumber",
	"hash.md5": "use hash.sha256 or hash.xxh64", "hash.sha1": "use hash.sha256 or hash.xxh64", "sha256": "use hash.sha256", "md5": "use hash.sha256 or hash.xxh64",
	"emit_event": "use emit", "record": "transform gets the event as its first argument",
	"event": "transform gets it as its first argument", "meta": "transform gets it as its second argument",
}

// adviceOf is what to do instead of a name, "" when nothing is known about it.
func adviceOf(name string) string { return advice[name] }
