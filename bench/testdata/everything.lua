-- What a long script does: patterns, lists, new tables, moved and removed members. It runs on any Lua 5.1.
local severity = { DEBUG = 7, INFO = 6, NOTICE = 5, WARNING = 4, ERROR = 3 }
local noisy = { ["/health"] = true, ["/metrics"] = true }

local function mask(text)
  text = text:gsub("[%w.+-]+@[%w-]+%.[%w.-]+", "<mail>")
  return (text:gsub("%d%d%d%d[ -]?%d%d%d%d[ -]?%d%d%d%d[ -]?%d%d%d%d", "<card>"))
end

local function slug(text)
  return (text:lower():gsub("[^a-z0-9]+", "-"))
end

function transform(event, meta)
  local context = event.context or {}
  local request = context.request
  if request and noisy[request.path] then
    return nil
  end
  local tags = { event.channel, slug(event.level_name) }
  if request then
    local area, number = request.path:match("^/(%a+)/(%d+)$")
    event.http = { request = { method = request.method }, response = { status_code = request.status } }
    event.url = { path = request.path, area = area, number = tonumber(number) }
    context.request = nil
    table.insert(tags, "http")
  end
  for _, role in ipairs(context.roles or {}) do
    table.insert(tags, "role-" .. role)
  end
  if context.exception then
    event.error = { type = context.exception.class, line = context.exception.line }
    context.exception = nil
  end
  if context.duration_ms then
    event.duration = math.floor(context.duration_ms * 1000000)
  end
  event.user = event.message:match("user (%d+)")
  event.message = mask(event.message)
  event.log = { level = event.level_name:lower(), logger = event.channel, severity = severity[event.level_name] or 0 }
  event.tags = tags
  event.service = { name = context.service or "unknown" }
  event.day = string.format("%s.%s", event.datetime:sub(1, 10), event.extra.pid)
  event["@timestamp"] = event.datetime
  event.datetime, event.level, event.level_name, event.channel, event.extra = nil, nil, nil, nil, nil
  meta.index = "logs-" .. slug(event.service.name) .. "-default"
  return event
end
