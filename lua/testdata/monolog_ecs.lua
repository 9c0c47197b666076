-- Laravel's and Monolog's events (JsonFormatter) to the Elastic Common Schema.
--
-- What ECS has a place for goes there; the rest of context and extra becomes labels, as text, so that one field
-- never has two types. Fields beside Monolog's own are not touched.
local default_service = nil -- "shop", say: for senders that do not name theirs

local level_names = {
  [100] = "debug", [200] = "info", [250] = "notice", [300] = "warning",
  [400] = "error", [500] = "critical", [550] = "alert", [600] = "emergency",
}

-- Laravel names its channel after the environment unless it is told otherwise.
local environments = { ["local"] = true, testing = true, development = true, staging = true, production = true }

-- Where the members of context and extra belong. The first path that is free wins.
local places = {
  service = "service.name", service_name = "service.name", app = "service.name",
  version = "service.version", release = "service.version",
  environment = "service.environment", env = "service.environment",
  user_id = "user.id", userId = "user.id", user_name = "user.name", email = "user.email",
  request_id = "http.request.id", uid = "http.request.id",
  url = "url.full", http_method = "http.request.method", method = "http.request.method",
  referrer = "http.request.referrer", status = "http.response.status_code", status_code = "http.response.status_code",
  user_agent = "user_agent.original",
  ip = "client.ip", client_ip = "client.ip",
  hostname = "host.name", host = "host.name", server = "url.domain",
  process_id = "process.pid", pid = "process.pid",
  trace_id = "trace.id", span_id = "span.id", transaction_id = "transaction.id",
  file = "log.origin.file.name", line = "log.origin.file.line", ["function"] = "log.origin.function",
}
local numeric = { ["http.response.status_code"] = true, ["process.pid"] = true, ["log.origin.file.line"] = true }

-- is_map tells a map from a list and from anything else. PHP writes an empty map as [], which counts as one.
local function is_map(value)
  return type(value) == "table" and #value == 0
end

local function has_content(value)
  return value ~= nil and value ~= json.null and value ~= "" and not (type(value) == "table" and next(value) == nil)
end

-- finite is tonumber for what can be written: not for 1e400, which is infinite as a Lua number.
local function finite(value)
  local number = tonumber(value)
  return number and math.abs(number) < math.huge and number or nil
end

-- names_of splits the path "a.b.c". There are few paths: each is split once, and kept.
local split = {}
local function names_of(path)
  local names = split[path]
  if not names then
    names = {}
    for name in path:gmatch("[^.]+") do
      names[#names + 1] = name
    end
    split[path] = names
  end
  return names
end

-- put sets doc.a.b.c for the path "a.b.c", with the tables on the way, and says whether it did: what is taken stays.
local function put(doc, path, value)
  if not has_content(value) then
    return false
  end
  local names = names_of(path)
  for i = 1, #names - 1 do
    local inner = doc[names[i]]
    if not has_content(inner) then
      inner = {}
      doc[names[i]] = inner
    elseif not is_map(inner) then
      return false
    end
    doc = inner
  end
  local name = names[#names]
  if doc[name] ~= nil then
    return false
  end
  doc[name] = value
  return true
end

-- text_of writes any value as a text; numbers keep their digits, tables become JSON.
local function text_of(value)
  if type(value) == "table" then
    return json.encode(value)
  end
  return tostring(value)
end

-- typed brings a value to the type that its place has, nil where it cannot.
local function typed(path, value)
  if type(value) == "table" then
    return nil
  end
  if path == "client.ip" then
    local address = tostring(value)
    return ip.cidr_match(address, "0.0.0.0/0") ~= nil and address or nil
  end
  if numeric[path] then
    return finite(value)
  end
  return tostring(value)
end

-- label adds a label. What the sender has under labels stays; if that is no map, as the label of that name.
local function label(event, name, value)
  if not has_content(value) then
    return
  end
  local labels = event.labels
  if not has_content(labels) then
    event.labels = {}
  elseif not is_map(labels) then
    event.labels = { labels = text_of(labels) }
  end
  name = name:gsub("[%.%s]", "_")
  event.labels[name == "" and "_" or name] = text_of(value)
end

-- place puts a value where it belongs, or among the labels where the sender has something else there.
local function place(event, path, value, name)
  if not put(event, path, value) then
    label(event, name, value)
  end
end

-- parse_time reads datetime: a text, or the object that Monolog 1 writes, whose zone stands beside it.
local function parse_time(datetime)
  if type(datetime) ~= "table" then
    return time.parse(tostring(datetime), { "rfc3339", "monolog" })
  end
  -- A zone that the sender made up is an error of time.parse, not of the script.
  local ok, at, why = pcall(time.parse, tostring(datetime.date), { "rfc3339", "monolog", "%Y-%m-%d %H:%M:%S.%f" },
    tostring(datetime.timezone or "UTC"))
  if not ok then
    return nil, at
  end
  return at, why
end

local function put_time(event)
  local datetime = event.datetime
  event.datetime = nil
  if datetime == nil or datetime == json.null then
    return
  end
  local at = parse_time(datetime)
  if at then
    event["@timestamp"] = at
  else
    label(event, "datetime", datetime) -- weir gives the event its receive time
  end
end

local function put_level(event)
  local name, number = event.level_name, finite(event.level)
  if type(name) ~= "string" then
    name = level_names[number] or type(event.level) == "string" and event.level or nil
  end
  event.level_name, event.level = nil, nil
  place(event, "log.level", name and name:lower(), "level")
  place(event, "event.severity", number, "severity")
end

-- stack_lines writes a trace as PHP prints it. Its steps are texts, or maps of file, line, class and function.
local function stack_lines(out, trace)
  if type(trace) == "string" then
    out[#out + 1] = trace
    return
  end
  for i, step in ipairs(type(trace) == "table" and trace or {}) do
    if type(step) == "table" then
      local call = text_of(step.class or "") .. text_of(step.type or "") .. text_of(step["function"] or "")
      step = text_of(step.file or "[internal]") .. ":" .. text_of(step.line or "?") .. " " .. call
    end
    out[#out + 1] = "#" .. (i - 1) .. " " .. text_of(step)
  end
end

-- exception_text writes an exception and those that it was caused by, at most ten of them.
local function exception_text(exception)
  local out = {}
  for depth = 1, 10 do
    out[#out + 1] = (depth > 1 and "Caused by: " or "") .. text_of(exception.class) .. ": "
      .. text_of(exception.message or "") .. " at " .. text_of(exception.file or "?")
    stack_lines(out, exception.trace)
    exception = exception.previous
    if type(exception) ~= "table" or exception.class == nil then
      break
    end
  end
  return table.concat(out, "\n")
end

-- put_exception says whether there was a place for the exception. It reads context.exception: a map, or the text that Monolog's LineFormatter or PHP itself makes of one:
--   [object] (App\Failed(code: 7): Message at /app/a.php:12)   and the stack in the lines below
--   App\Failed: Message in /app/a.php:12
local function put_exception(event, exception)
  if type(exception) == "table" and exception.class ~= nil then
    if not put(event, "error.stack_trace", exception_text(exception)) then
      return false
    end
    put(event, "error.type", text_of(exception.class))
    put(event, "error.message", text_of(exception.message or ""))
    if exception.code ~= 0 then
      put(event, "error.code", text_of(exception.code or ""))
    end
    return true
  end
  local text = text_of(exception)
  if not put(event, "error.stack_trace", text) then
    return false
  end
  local class, code, message = text:match("^%[object%] %(([%w_\\]+)%(code: ([^)]*)%): (.-) at %S+:%d+%)")
  if not class then
    class, message = text:match("^([%a_][%w_\\]*): (.-) in %S+:%d+")
  end
  put(event, "error.type", class)
  put(event, "error.message", message or text:match("^[^\n]*"))
  put(event, "error.code", code ~= "0" and code or nil)
  return true
end

-- put_url gives url.full its parts; Laravel's WebProcessor has only path and query.
local function put_url(event)
  local address = is_map(event.url) and event.url.full
  if type(address) ~= "string" then
    return
  end
  local parts = url.parse(address) or {}
  if not parts.scheme then
    event.url.full, event.url.original = nil, address
  end
  for name, value in pairs(parts) do
    put(event, "url." .. name, value)
  end
end

-- spread takes a context or an extra apart. prefix parts labels that both could have.
local function spread(event, members, prefix)
  if not is_map(members) then
    label(event, prefix, members)
    return
  end
  for name, value in pairs(members) do
    local path = places[name]
    local fitting = path and typed(path, value)
    if not has_content(value) then
      -- nothing to keep
    elseif name == "exception" and put_exception(event, value) then
      -- all of it is there
    elseif name == "request" and is_map(value) then
      spread(event, value, "request")
    elseif fitting == nil or not put(event, path, fitting) then
      label(event, prefix == "context" and name or prefix .. "_" .. name, value)
    end
  end
end

function transform(event)
  local context, extra = event.context, event.extra
  event.context, event.extra = nil, nil
  put_time(event)
  put_level(event)
  if event.message ~= nil and event.message ~= json.null and type(event.message) ~= "string" then
    event.message = text_of(event.message)
  end
  local channel = event.channel
  event.channel = nil
  place(event, "log.logger", has_content(channel) and text_of(channel) or nil, "channel")
  spread(event, context, "context")
  spread(event, extra, "extra")
  put_url(event)
  put(event, "service.name", default_service)
  put(event, "service.environment", environments[channel] and channel or nil)
  put(event, "event.dataset", text_of(is_map(event.service) and event.service.name or "php") .. ".log")
  put(event, "ecs.version", "8.11.0")
  return event
end

local function event_of(text)
  return transform(json.decode(text))
end

function test_levels()
  assert(event_of('{"level":550,"level_name":"ALERT"}').log.level == "alert")
  assert(event_of('{"level":250}').log.level == "notice")
  assert(event_of('{"level":"warning"}').log.level == "warning")
  assert(event_of('{"level":250}').event.severity == 250)
  assert(event_of("{}").log == nil)
end

function test_times_of_all_versions()
  for text, want in pairs({
    ['"2026-01-02T03:04:05.678901+01:00"'] = "2026-01-02T02:04:05.678901Z",
    ['"2026-01-02 03:04:05"'] = "2026-01-02T03:04:05Z",
    ['{"date":"2026-07-02 03:04:05.678901","timezone_type":3,"timezone":"Europe/Vienna"}'] = "2026-07-02T01:04:05.678901Z",
    ['{"date":"2026-01-02 03:04:05.000000","timezone_type":1,"timezone":"+02:00"}'] = "2026-01-02T01:04:05.000000Z",
  }) do
    local e = event_of('{"datetime":' .. text .. "}")
    assert(e["@timestamp"] == want, tostring(e["@timestamp"]) .. " for " .. text)
    assert(e.datetime == nil and e.labels == nil)
  end
end

function test_a_time_that_is_none_stays_as_a_label()
  assert(event_of('{"datetime":"yesterday"}').labels.datetime == "yesterday")
  local e = event_of('{"datetime":{"date":"2026-01-02 03:04:05","timezone":"Mars/Olympus"}}')
  assert(e["@timestamp"] == nil and e.labels.datetime:find("Olympus", 1, true))
end

function test_an_exception_with_its_causes()
  local e = event_of([[{"message":"failed","context":{"exception":{"class":"App\\Failed","message":"no card","code":"42S02",
    "file":"/app/a.php:12","trace":["/app/b.php:7","/app/c.php:9"],
    "previous":{"class":"PDOException","message":"gone","code":0,"file":"/app/db.php:1"}}}}]])
  assert(e.error.type == "App\\Failed" and e.error.message == "no card" and e.error.code == "42S02")
  assert(e.error.stack_trace == "App\\Failed: no card at /app/a.php:12\n#0 /app/b.php:7\n#1 /app/c.php:9\n"
    .. "Caused by: PDOException: gone at /app/db.php:1", e.error.stack_trace)
end

function test_an_exception_as_a_text()
  local e = event_of([[{"context":{"exception":"[object] (App\\Failed(code: 7): no card at /app/a.php:12)\n[stacktrace]\n#0 {main}"}}]])
  assert(e.error.type == "App\\Failed" and e.error.message == "no card" and e.error.code == "7")
  e = event_of([[{"context":{"exception":"RuntimeException: boom in /app/a.php:12\nStack trace:\n#0 {main}"}}]])
  assert(e.error.type == "RuntimeException" and e.error.message == "boom" and e.error.code == nil)
  e = event_of('{"context":{"exception":"something else"}}')
  assert(e.error.type == nil and e.error.message == "something else")
end

function test_empty_maps_of_PHP()
  local e = event_of('{"message":"m","context":[],"extra":[]}')
  assert(e.context == nil and e.extra == nil and e.labels == nil)
end

function test_labels_are_texts()
  local e = event_of('{"context":{"order.id":9007199254740993,"paid":true,"items":[1,{"a":1.0}],"none":null,"exception":[],"url":null,"0":"x"}}')
  assert(e.labels.order_id == "9007199254740993" and e.labels.paid == "true" and e.labels["0"] == "x")
  assert(e.labels.items == '[1,{"a":1.0}]', e.labels.items)
  assert(e.labels.none == nil and e.labels.exception == nil and e.error == nil and e.url == nil)
end

function test_what_does_not_fit_its_place_becomes_a_label()
  local e = event_of('{"context":{"ip":"unknown","status":"timeout","user_id":{"id":7}}}')
  assert(e.client == nil and e.http == nil and e.user == nil)
  assert(e.labels.ip == "unknown" and e.labels.status == "timeout" and e.labels.user_id == '{"id":7}')
end

function test_what_finds_its_place_taken_becomes_a_label()
  local e = event_of('{"log":"mine","event":"login","level":400,"level_name":"ERROR","channel":"shop"}')
  assert(e.log == "mine" and e.labels.level == "error" and e.labels.channel == "shop")
  assert(e.event == "login" and e.labels.severity == "400")
  e = event_of('{"error":"mine","context":{"exception":{"class":"A","message":"a"}}}')
  assert(e.error == "mine" and e.labels.exception == '{"class":"A","message":"a"}', e.labels.exception)
  e = event_of('{"context":{"exception":{"class":"A"}},"extra":{"exception":"B: b in /b.php:1"}}')
  assert(e.error.type == "A" and e.labels.extra_exception == "B: b in /b.php:1")
end

function test_a_channel_that_is_no_text()
  assert(event_of('{"channel":{"a":1}}').log.logger == '{"a":1}')
end

function test_the_first_of_a_place_wins()
  local e = event_of('{"context":{"user_id":1},"extra":{"user_id":2}}')
  assert(e.user.id == "1" and e.labels.extra_user_id == "2")
end

test_cases = {
  {
    name = "what Laravel writes",
    event = '{"message":"hi","context":{"userId":7},"level":200,"level_name":"INFO","channel":"production","datetime":"2026-01-02T03:04:05.678901+00:00","extra":[]}',
    want = '{"message":"hi","@timestamp":"2026-01-02T03:04:05.678901Z","log":{"level":"info","logger":"production"},"event":{"severity":200,"dataset":"php.log"},"user":{"id":"7"},"service":{"environment":"production"},"ecs":{"version":"8.11.0"}}',
  },
}
