-- The slow log of PHP-FPM: each event's message is one whole entry,
--
--   [03-Jan-2026 10:15:02]  [pool www] pid 4321
--   script_filename = /var/www/app/public/index.php
--   [0x00007f1c2a613f40] sleep() /var/www/app/app/Jobs/Report.php:42
--   [0x00007f1c2a613e80] handle() /var/www/app/vendor/acme/bus/src/Dispatcher.php:127
--
-- Entries are parted by empty lines, so this sends a log:
--
--   jq -cRs 'split("\n\n")[] | ltrimstr("\n") | select(test("\\S")) | {message: .}' php-fpm.slow.log | weir send --stream php-slow -
--
-- What does not fit is kept as it came, with the tag _parse_failed and the reason in error.message.
local zone = "UTC" -- FPM writes the local time of its machine, without a zone

-- frame reads one line of the stack, nil where it is none. Where a frame has no source (internal functions), FPM
-- writes "unknown:0"; for included files the function is [INCLUDE_OR_EVAL].
local function frame(line)
  local name, file, number = line:match("^%[0x%x+%] (.-)%(%) (.+):(%d+)%s*$")
  if not name or #number > 10 then
    return nil
  end
  if file == "unknown" then
    return { ["function"] = name }
  end
  return { ["function"] = name, file = file, line = tonumber(number) }
end

-- read gives what stands in the entry, or nil and what is wrong with it.
local function read(entry)
  local date, pool, pid, rest = entry:match("^%s*%[([^%]]+)%]%s+%[pool ([^%]]+)%] pid (%d+)%s*\n(.*)$")
  if not date or #pid > 10 then
    return nil, "not the head of an entry of a slow log"
  end
  local at, why = time.parse(date, "%d-%b-%Y %H:%M:%S", zone)
  if not at then
    return nil, why
  end
  local found = { time = at, pool = pool, pid = tonumber(pid), stack = json.array() }
  for line in rest:gmatch("[^\r\n]+") do
    local step = frame(line)
    if step then
      table.insert(found.stack, step)
    elseif line:match("^script_filename = ") then
      found.script = line:match("^script_filename = (.-)%s*$")
    elseif line:find("dump failed", 1, true) then
      found.incomplete = true -- the process went on while FPM looked at it
    elseif line:match("%S") then
      return nil, "neither script nor stack: " .. line:sub(1, 80)
    end
  end
  if not found.script then
    return nil, "no script_filename"
  end
  return found
end

local function fill(event, found)
  local top = found.stack[1]
  event["@timestamp"] = found.time
  event.event = { dataset = "php_fpm.slow", kind = "event" }
  event.process = { pid = found.pid, name = "php-fpm" }
  event.php = { fpm = { pool = found.pool, script = found.script, incomplete = found.incomplete, stack = found.stack } }
  if top then
    event.log = { origin = { ["function"] = top["function"], file = { name = top.file, line = top.line } } }
  end
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
  local found, why
  if type(event.message) == "string" then
    found, why = read(event.message)
  else
    why = "message is no text"
  end
  if found then
    fill(event, found)
  else
    tag(event, "_parse_failed", why)
  end
  return event
end

function test_an_entry()
  local e = transform({ message = [[

[03-Jan-2026 10:15:02]  [pool www] pid 4321
script_filename = /var/www/app/public/index.php
[0x00007f1c2a613f40] sleep() /var/www/app/app/Jobs/Report.php:42
[0x00007f1c2a613e80] [INCLUDE_OR_EVAL]() /var/www/app/public/index.php:17
[0x00007f1c2a613e00] array_map() unknown:0
]] })
  assert(e.tags == nil, e.error and e.error.message)
  assert(e["@timestamp"] == "2026-01-03T10:15:02Z", e["@timestamp"])
  assert(e.process.pid == 4321 and e.php.fpm.pool == "www")
  assert(e.php.fpm.script == "/var/www/app/public/index.php")
  assert(#e.php.fpm.stack == 3)
  assert(e.php.fpm.stack[2]["function"] == "[INCLUDE_OR_EVAL]" and e.php.fpm.stack[2].line == 17)
  assert(e.php.fpm.stack[3]["function"] == "array_map" and e.php.fpm.stack[3].file == nil)
  assert(e.log.origin.file.name == "/var/www/app/app/Jobs/Report.php" and e.log.origin.file.line == 42)
end

function test_a_dump_that_failed()
  local e = transform({ message = "[03-Jan-2026 10:15:02]  [pool www] pid 1\nscript_filename = /a.php\n[0x00000000013f1840] +++ dump failed" })
  assert(e.tags == nil and e.php.fpm.incomplete == true)
  assert(#e.php.fpm.stack == 0 and e.log == nil)
end

function test_what_does_not_fit_is_kept()
  for entry, reason in pairs({
    [""] = "head",
    ["[03-Jan-2026 10:15:02]  [pool www] pid 4321"] = "head",
    ["[03-Foo-2026 10:15:02]  [pool www] pid 4321\nscript_filename = /a.php"] = "03-Foo-2026",
    ["[03-Jan-2026 10:15:02]  [pool www] pid 4321\n[0x0] main() /a.php:1"] = "script_filename",
    ["[03-Jan-2026 10:15:02]  [pool www] pid 4321\nscript_filename = /a.php\n\1\2"] = "neither",
  }) do
    local e = transform({ message = entry })
    assert(e.message == entry and e.tags[1] == "_parse_failed" and e.php == nil, entry)
    assert(e.error.message:find(reason, 1, true), e.error.message)
  end
end

test_cases = {
  {
    name = "a message that is no text",
    event = '{"message":null}',
    want = '{"message":null,"tags":["_parse_failed"],"error":{"message":"message is no text"}}',
  },
}
