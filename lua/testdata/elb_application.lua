-- Access logs of AWS Application Load Balancers, a line in each event's message, to ECS:
--
--   weir send --lines --stream alb 123456789012_elasticloadbalancing_eu-west-1_app.shop.50dc6c495c0c9188_20260102T0305Z_192.0.2.9_4k2j.log
--
-- The line stays in message. One that does not fit is kept as it came, with the tag _parse_failed and the reason in
-- error.message. AWS adds fields at the end from time to time: those without a name here go to aws.elb.more.
local head_names = {
  "type", "time", "elb", "client", "target",
  "request_processing_time", "target_processing_time", "response_processing_time",
  "elb_status_code", "target_status_code", "received_bytes", "sent_bytes",
}
local tail_names = {
  "trace_id", "domain_name", "chosen_cert_arn", "matched_rule_priority", "request_creation_time",
  "actions_executed", "redirect_url", "error_reason", "target_port_list", "target_status_code_list",
  "classification", "classification_reason", "conn_trace_id",
  "transformed_host", "transformed_uri", "request_transform_status",
}
local tail_least = 5 -- up to request_creation_time; the others came later
local numeric = {
  "request_processing_time", "target_processing_time", "response_processing_time",
  "elb_status_code", "target_status_code", "received_bytes", "sent_bytes", "matched_rule_priority",
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

-- named gives the values of a list their names, and those beyond the names as a list of their own.
local function named(found, names, values)
  local more
  for i, value in ipairs(values) do
    if names[i] then
      found[names[i]] = value
    else
      more = more or {}
      more[#more + 1] = value
    end
  end
  return more
end

-- fields splits the line. The agent may hold quotes of its own; it ends where three fields without quotes follow
-- (cipher, protocol and target group), which is nowhere else.
local function fields(line)
  local head, request, agent, cipher, protocol, group, tail =
    line:match('^([^"]+) "(.-)" "(.*)" ([^%s"]+) ([^%s"]+) ([^%s"]+) (".*)$')
  if not head then
    return nil, "not the quoted fields of an Application Load Balancer"
  end
  local first = csv(head, { separator = " " })
  if not first or #first ~= #head_names then
    return nil, (first and #first or 0) .. " fields before the request, not " .. #head_names
  end
  local last, why = csv(tail, { separator = " " })
  if not last then
    return nil, why
  end
  if #last < tail_least then
    return nil, #last .. " fields after the target group, not " .. tail_least .. " or more"
  end
  local found = { request = request, agent = agent, cipher = cipher, protocol = protocol, group = group }
  named(found, head_names, first)
  found.more = named(found, tail_names, last)
  return found
end

-- numbers turns the numeric fields into numbers; "-" is absent, and so is -1: no target was reached, or it cut the
-- connection, or (as priority of a rule) no rule matched.
local function numbers(found)
  for _, name in ipairs(numeric) do
    local text = found[name]
    local value = #text < 16 and text:match("^%-?%d+%.?%d*$") and tonumber(text)
    if not value and text ~= "-" then
      return nil, name .. " is no number: " .. text
    end
    found[name] = value and value ~= -1 and value or nil
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
  if found.target ~= "-" then
    found.target, found.target_port = endpoint(found.target)
    if not found.target then
      return nil, found.target_port
    end
  end
  return numbers(found)
end

-- put_request reads "GET http://host:80/path HTTP/1.1". Of a request that it could not read, the load balancer
-- writes "- http://host:80- -".
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

-- list splits what the load balancer joins: several targets were tried, several actions were taken.
local function list(text, separator)
  if text == nil or text == "" or text == "-" then
    return nil
  end
  local parts = {}
  for part in text:gmatch("[^" .. separator .. "]+") do
    parts[#parts + 1] = part
  end
  return parts
end

-- put_group takes region and account out of arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/...
local function put_group(event, arn)
  local region, account = arn:match("^arn:[^:]+:elasticloadbalancing:([^:]+):(%d+):")
  put(event, "cloud.provider", "aws")
  put(event, "cloud.region", region)
  put(event, "cloud.account.id", account)
  put(event, "aws.elb.target_group.arn", arn)
end

local function put_target(event, found)
  put(event, "aws.elb.backend.ip", found.target)
  put(event, "aws.elb.backend.port", found.target_port)
  put(event, "aws.elb.backend.http.response.status_code", found.target_status_code)
  put(event, "aws.elb.request_processing_time.sec", found.request_processing_time)
  put(event, "aws.elb.backend_processing_time.sec", found.target_processing_time)
  put(event, "aws.elb.response_processing_time.sec", found.response_processing_time)
  put(event, "aws.elb.target_port", list(found.target_port_list, " "))
  put(event, "aws.elb.target_status_code", list(found.target_status_code_list, " "))
end

-- put_verdict is what the load balancer did with the request, and why.
local function put_verdict(event, found)
  put(event, "aws.elb.matched_rule_priority", found.matched_rule_priority)
  put(event, "aws.elb.action_executed", list(found.actions_executed, ","))
  put(event, "aws.elb.redirect_url", found.redirect_url)
  put(event, "aws.elb.error.reason", found.error_reason)
  put(event, "aws.elb.classification", found.classification)
  put(event, "aws.elb.classification_reason", found.classification_reason)
  put(event, "aws.elb.transformed.host", found.transformed_host)
  put(event, "aws.elb.transformed.uri", found.transformed_uri)
  put(event, "aws.elb.transformed.status", found.request_transform_status)
end

local function fill(event, found)
  event["@timestamp"] = found.time
  put(event, "event.dataset", "aws.elb_logs")
  put(event, "event.start", (time.parse(found.request_creation_time, "elb")))
  put(event, "event.end", found.time)
  put(event, "client.ip", found.client)
  put(event, "client.port", found.client_port)
  put(event, "aws.elb.name", found.elb)
  put(event, "aws.elb.type", found.type)
  put(event, "aws.elb.trace_id", found.trace_id)
  put(event, "trace.id", found.trace_id:match("Root=([%w-]+)"))
  put(event, "aws.elb.connection_trace_id", found.conn_trace_id)
  put(event, "aws.elb.chosen_cert.arn", found.chosen_cert_arn)
  put(event, "aws.elb.more", found.more)
  put_group(event, found.group)
  put_target(event, found)
  put_verdict(event, found)
  put(event, "http.response.status_code", found.elb_status_code)
  put(event, "http.request.bytes", found.received_bytes)
  put(event, "http.response.bytes", found.sent_bytes)
  put_request(event, found.request)
  put(event, "user_agent.original", unescape(found.agent))
  put(event, "tls.client.server_name", found.domain_name)
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

local sample = 'https 2026-01-02T03:04:05.678901Z app/shop/50dc6c495c0c9188 192.0.2.10:2817 10.0.0.1:8080 0.086 0.048 0.037 200 200 '
  .. '301 57 "GET https://www.example.com:443/cart?id=7 HTTP/1.1" "%s" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 '
  .. 'arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/73e2d6bc24d8a067 '
  .. '"Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com" '
  .. '"arn:aws:acm:eu-west-1:123456789012:certificate/12345678-1234-1234-1234-123456789012" 1 2026-01-02T03:04:05.364000Z '
  .. '"authenticate,forward" "-" "-" "10.0.0.1:8080" "200" "-" "-" TID_1234abcd5678ef90 "-" "-" "-"'

local function with_agent(agent)
  return (sample:gsub("%%s", function() return agent end))
end

function test_a_request()
  local e = event_of(with_agent("curl/8.5.0"))
  assert(e.tags == nil, e.error and e.error.message)
  assert(e["@timestamp"] == "2026-01-02T03:04:05.678901Z", e["@timestamp"])
  assert(e.event.start == "2026-01-02T03:04:05.364000Z", e.event.start)
  assert(e.aws.elb.name == "app/shop/50dc6c495c0c9188" and e.aws.elb.type == "https")
  assert(e.cloud.region == "eu-west-1" and e.cloud.account.id == "123456789012")
  assert(e.client.ip == "192.0.2.10" and e.client.port == 2817)
  assert(e.aws.elb.backend.ip == "10.0.0.1" and e.aws.elb.backend.port == 8080)
  assert(e.aws.elb.backend_processing_time.sec == 0.048)
  assert(table.concat(e.aws.elb.action_executed, " ") == "authenticate forward")
  assert(e.aws.elb.redirect_url == nil and e.aws.elb.more == nil)
  assert(e.trace.id == "1-58337281-1d84f3d73c47ec4e58577259")
  assert(e.http.request.method == "GET" and e.http.response.bytes == 57)
  assert(e.url.path == "/cart" and e.url.port == 443)
  assert(e.tls.client.server_name == "www.example.com" and e.tls.version == "1.2")
end

function test_quotes_inside_of_the_agent()
  for written, read in pairs({
    ['a "raw" quote'] = 'a "raw" quote',
    ['a \\"masked\\" one'] = 'a "masked" one',
    ["in \\x22hex\\x22"] = 'in "hex"',
    ['" "'] = '" "',
    ['" - - - "'] = '" - - - "',
    ["C:\\\\temp"] = "C:\\temp",
    [""] = "",
  }) do
    local e = event_of(with_agent(written))
    assert(e.tags == nil, e.error and e.error.message)
    assert((e.user_agent and e.user_agent.original or "") == read, written)
    assert(e.tls.cipher == "ECDHE-RSA-AES128-GCM-SHA256")
  end
end

function test_quotes_inside_of_the_request()
  local line = with_agent("-"):gsub("GET %S+", function()
    return [[GET https://www.example.com:443/?a=\x22b\x22&c=\"d\"]]
  end)
  local e = event_of(line)
  assert(e.tags == nil, e.error and e.error.message)
  assert(e.url.original == 'https://www.example.com:443/?a="b"&c="d"' and e.url.query == 'a="b"&c="d"', e.url.query)
end

function test_a_lambda_that_failed()
  local e = event_of('h2 2026-01-02T03:04:05.678901Z app/shop/50dc6c495c0c9188 [2001:db8::1]:2817 - 0.000 0.001 -1 502 - 34 366 '
    .. '"GET https://www.example.com:443/ HTTP/2.0" "curl/8.5.0" - - '
    .. 'arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/73e2d6bc24d8a067 '
    .. '"Root=1-58337364-23a8c76965a2ef7629b185e3" "-" "-" 0 2026-01-02T03:04:04.364000Z "forward" "-" "LambdaInvalidResponse" "-" "-" "-" "-"')
  assert(e.tags == nil, e.error and e.error.message)
  assert(e.client.ip == "2001:db8::1" and e.aws.elb.backend == nil)
  assert(e.aws.elb.response_processing_time == nil and e.aws.elb.request_processing_time.sec == 0)
  assert(e.aws.elb.error.reason == "LambdaInvalidResponse")
  assert(e.http.version == "2.0" and e.http.response.status_code == 502)
end

function test_fields_that_are_to_come()
  local e = event_of(with_agent("x") .. ' 192.0.2.99 "and more"')
  assert(table.concat(e.aws.elb.more, "|") == "192.0.2.99|and more")
end

function test_what_does_not_fit_is_kept()
  local good = with_agent("x")
  for line, reason in pairs({
    [""] = "quoted fields",
    ["\0\255\254 rubbish"] = "quoted fields",
    [good:sub(1, 150)] = "quoted fields",
    [good:sub(1, 360)] = "broken quotes",
    [(good:gsub(" 10.0.0.1:8080 0", " 0", 1))] = "11 fields",
    [(good:gsub("2026%-01", "2026-13", 1))] = "2026-13",
    [(good:gsub("192.0.2.10:", "shop.example:", 1))] = "shop.example",
    [(good:gsub(" 200 200 ", " OK 200 ", 1))] = "elb_status_code",
    [(good:gsub(' "www.example.com".*$', "", 1))] = "1 fields",
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
