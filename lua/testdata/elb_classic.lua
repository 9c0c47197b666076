-- Access logs of AWS Classic Load Balancers, a line in each event's message, to ECS:
--
--   weir send --lines --stream elb 123456789012_elasticloadbalancing_eu-west-1_shop_20260102T0305Z_192.0.2.9_4k2j.log
--
-- The line stays in message. One that does not fit is kept as it came, with the tag _parse_failed and the reason in
-- error.message.
local head_names = {
  "time", "elb", "client", "backend",
  "request_processing_time", "backend_processing_time", "response_processing_time",
  "elb_status_code", "backend_status_code", "received_bytes", "sent_bytes",
}
local numeric = {
  "request_processing_time", "backend_processing_time", "response_processing_time",
  "elb_status_code", "backend_status_code", "received_bytes", "sent_bytes",
}

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

-- put sets doc.a.b.c for the path "a.b.c", with the tables on the way. What is absent ("-" in the line) stays absent.
local function put(doc, path, value)
  if value == nil or value == "" or value == "-" then
    return
  end
  local names = names_of(path)
  for i = 1, #names - 1 do
    local inner = doc[names[i]]
    if type(inner) ~= "table" then
      inner = {}
      doc[names[i]] = inner
    end
    doc = inner
  end
  doc[names[#names]] = value
end

-- Quotes and backslashes inside of quotes are written as \x22, \" and \\, by some versions not at all.
local function unescape(text)
  text = text:gsub("\\x(%x%x)", function(digits)
    return string.char(tonumber(digits, 16))
  end)
  return (text:gsub('\\(["\\])', "%1"))
end

-- endpoint splits address:port. Addresses of IPv6 come with and without brackets.
local function endpoint(text)
  local address, port = text:match("^(.+):(%d+)$")
  if not address or #port > 5 then
    return nil, "no address and port: " .. text
  end
  address = address:match("^%[(.+)%]$") or address
  if ip.cidr_match(address, "0.0.0.0/0") == nil then
    return nil, "no IP address: " .. address
  end
  return address, tonumber(port)
end

-- fields splits the line. The agent may hold quotes of its own, so it goes as far as what stands behind it allows.
local function fields(line)
  local head, request, agent, cipher, protocol = line:match('^([^"]+) "(.-)" "(.*)" ([^%s"]+) ([^%s"]+)%s*$')
  if not head then
    -- Lines from before 2014 end after the request.
    head, request = line:match('^([^"]+) "([^"]*)"%s*$')
  end
  if not head then
    return nil, "not the quoted fields of a Classic Load Balancer"
  end
  local values = csv(head, { separator = " " })
  if not values or #values ~= #head_names then
    return nil, (values and #values or 0) .. " fields before the request, not " .. #head_names
  end
  local found = {}
  for i, name in ipairs(head_names) do
    found[name] = values[i]
  end
  found.request, found.agent, found.cipher, found.protocol = request, agent, cipher, protocol
  return found
end

-- numbers turns the numeric fields into numbers; "-" is absent, and so is -1: there was no backend, or it cut the
-- connection.
local function numbers(found)
  for _, name in ipairs(numeric) do
    local text = found[name]
    local value = #text < 16 and text:match("^%-?%d+%.?%d*$") and tonumber(text)
    if not value and text ~= "-" then
      return nil, name .. " is no number: " .. text
    end
    found[name] = value and value ~= -1 and value or nil
  end
  if found.backend_status_code == 0 then -- no backend answered
    found.backend_status_code = nil
  end
  return found
end

-- read gives all that stands in the line, or nil and what is wrong with it.
local function read(line)
  local found, why = fields(line)
  if not found then
    return nil, why
  end
  found.time, why = time.parse(found.time, "elb")
  if not found.time then
    return nil, why
  end
  found.client, found.client_port = endpoint(found.client)
  if not found.client then
    return nil, found.client_port
  end
  if found.backend ~= "-" then
    found.backend, found.backend_port = endpoint(found.backend)
    if not found.backend then
      return nil, found.backend_port
    end
  end
  return numbers(found)
end

-- put_request reads "GET http://host:80/path HTTP/1.1". A TCP listener has "- - - ".
local function put_request(event, request)
  local method, target, version = request:match("^(%S+) (.+) (%S+) *$")
  if not method then
    put(event, "url.original", unescape(request))
    return
  end
  put(event, "http.request.method", method)
  put(event, "http.version", version:match("^HTTP/(.+)$"))
  local original = unescape(target)
  for name, value in pairs(url.parse(original) or url.parse(target) or {}) do
    put(event, "url." .. name, value)
  end
  put(event, "url.original", original)
end

local function put_tls(event, found)
  put(event, "tls.cipher", found.cipher)
  local name, version = (found.protocol or "-"):match("^(%a+)v([%d.]+)$")
  if name then
    put(event, "tls.version_protocol", name:lower())
    put(event, "tls.version", version)
  end
end

-- put_bytes: for HTTP these are the bodies, for TCP all that went over the connection.
local function put_bytes(event, found, is_http)
  put(event, is_http and "http.request.body.bytes" or "source.bytes", found.received_bytes)
  put(event, is_http and "http.response.body.bytes" or "destination.bytes", found.sent_bytes)
end

local function fill(event, found)
  local is_http = found.elb_status_code ~= nil
  event["@timestamp"] = found.time
  put(event, "event.dataset", "aws.elb_logs")
  put(event, "cloud.provider", "aws")
  put(event, "client.ip", found.client)
  put(event, "client.port", found.client_port)
  put(event, "aws.elb.name", found.elb)
  put(event, "aws.elb.protocol", is_http and "http" or "tcp")
  put(event, "aws.elb.backend.ip", found.backend)
  put(event, "aws.elb.backend.port", found.backend_port)
  put(event, "aws.elb.backend.http.response.status_code", found.backend_status_code)
  put(event, "aws.elb.request_processing_time.sec", found.request_processing_time)
  put(event, "aws.elb.backend_processing_time.sec", found.backend_processing_time)
  put(event, "aws.elb.response_processing_time.sec", found.response_processing_time)
  put(event, "http.response.status_code", found.elb_status_code)
  put_bytes(event, found, is_http)
  put_request(event, found.request)
  put(event, "user_agent.original", found.agent and unescape(found.agent))
  put_tls(event, found)
end

local function tag(event, name, reason)
  local tags = {}
  if type(event.tags) == "string" then
    tags[1] = event.tags
  elseif type(event.tags) == "table" then
    for i, old in ipairs(event.tags) do
      tags[i] = old
    end
  end
  tags[#tags + 1] = name
  event.tags = tags
  event.error = { message = reason }
end

function transform(event)
  local line = event.message
  if type(line) ~= "string" then
    tag(event, "_parse_failed", "message is no text")
    return event
  end
  local found, why = read(line)
  if found then
    fill(event, found)
  else
    tag(event, "_parse_failed", why)
  end
  return event
end

local function event_of(line)
  return transform({ message = line })
end

function test_a_request()
  local e = event_of('2026-01-02T03:04:05.678901Z shop 192.0.2.10:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29 '
    .. '"GET http://www.example.com:80/cart?id=7 HTTP/1.1" "curl/8.5.0" - -')
  assert(e["@timestamp"] == "2026-01-02T03:04:05.678901Z", e["@timestamp"])
  assert(e.aws.elb.name == "shop" and e.aws.elb.protocol == "http")
  assert(e.client.ip == "192.0.2.10" and e.client.port == 2817)
  assert(e.aws.elb.backend.ip == "10.0.0.1" and e.aws.elb.backend.http.response.status_code == 200)
  assert(e.aws.elb.backend_processing_time.sec == 0.001048)
  assert(e.http.request.method == "GET" and e.http.version == "1.1")
  assert(e.http.response.body.bytes == 29 and e.http.request.body.bytes == 0)
  assert(e.url.domain == "www.example.com" and e.url.path == "/cart" and e.url.query == "id=7")
  assert(e.user_agent.original == "curl/8.5.0")
  assert(e.tls == nil and e.tags == nil)
end

function test_quotes_inside_of_the_agent()
  local line = '2026-01-02T03:04:05.678901Z shop 192.0.2.10:2817 10.0.0.1:443 0.1 0.2 0.3 200 200 0 29 '
    .. '"GET https://www.example.com:443/ HTTP/1.1" "%s" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2'
  for written, read in pairs({
    ['a "raw" quote'] = 'a "raw" quote',
    ['a \\"masked\\" one'] = 'a "masked" one',
    ['in \\x22hex\\x22'] = 'in "hex"',
    ['" "'] = '" "',
    ["C:\\\\temp"] = "C:\\temp",
    [""] = "",
  }) do
    local e = event_of((line:gsub("%%s", function() return written end)))
    assert(e.tags == nil, e.error and e.error.message)
    assert((e.user_agent and e.user_agent.original or "") == read, written)
    assert(e.tls.version == "1.2" and e.tls.version_protocol == "tls")
  end
end

function test_quotes_inside_of_the_request()
  local e = event_of('2026-01-02T03:04:05Z shop 192.0.2.10:2817 10.0.0.1:80 0.1 0.2 0.3 200 200 0 29 '
    .. [["GET http://www.example.com:80/?a=\x22b\x22&c=\"d\" HTTP/1.1" "-" - -]])
  assert(e.tags == nil, e.error and e.error.message)
  assert(e.url.original == 'http://www.example.com:80/?a="b"&c="d"' and e.url.query == 'a="b"&c="d"', e.url.query)
end

function test_without_a_backend()
  local e = event_of('2026-01-02T03:04:05Z shop 192.0.2.10:2817 - -1 -1 -1 504 0 0 0 "GET http://www.example.com:80/ HTTP/1.1" "-" - -')
  assert(e.aws.elb.backend == nil and e.aws.elb.request_processing_time == nil)
  assert(e.http.response.status_code == 504 and e.user_agent == nil)
end

function test_tcp()
  local e = event_of('2026-01-02T03:04:05.678901Z shop 192.0.2.10:2817 10.0.0.1:80 0.001069 0.000028 0.000041 - - 82 305 "- - - " "-" - -')
  assert(e.tags == nil, e.error and e.error.message)
  assert(e.http == nil and e.url == nil and e.aws.elb.protocol == "tcp")
  assert(e.source.bytes == 82 and e.destination.bytes == 305)
end

function test_what_does_not_fit_is_kept()
  for line, reason in pairs({
    [""] = "quoted fields",
    ["\0\255\254 rubbish"] = "quoted fields",
    ['2026-01-02T03:04:05.678901Z shop 192.0.2.10:2817 10.0.0.1:80 0.1 0.2 0.3 200 200 0 29 "GET http://www.exam'] = "quoted fields",
    ['2026-01-02T03:04:05.678901Z shop 192.0.2.10:2817 0.1 0.2 0.3 200 200 0 29 "GET http://a/ HTTP/1.1" "x" - -'] = "10 fields",
    ['yesterday shop 192.0.2.10:2817 10.0.0.1:80 0.1 0.2 0.3 200 200 0 29 "GET http://a/ HTTP/1.1" "x" - -'] = "yesterday",
    ['2026-01-02T03:04:05.678901Z shop 192.0.2.300:2817 10.0.0.1:80 0.1 0.2 0.3 200 200 0 29 "GET http://a/ HTTP/1.1" "x" - -'] = "192.0.2.300",
    ['2026-01-02T03:04:05.678901Z shop 192.0.2.10:2817 10.0.0.1:80 0.1 0.2 0.3 OK 200 0 29 "GET http://a/ HTTP/1.1" "x" - -'] = "elb_status_code",
  }) do
    local e = event_of(line)
    assert(e.message == line and e.tags[1] == "_parse_failed", line)
    assert(e.error.message:find(reason, 1, true), e.error.message)
    assert(e.client == nil and e["@timestamp"] == nil, "nothing is half filled in: " .. line)
  end
end

test_cases = {
  { name = "a message that is no text", event = '{"message":7,"tags":["elb"]}', want = '{"message":7,"tags":["elb","_parse_failed"],"error":{"message":"message is no text"}}' },
}
