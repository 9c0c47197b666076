-- Errors go to an index of their own, audit events through a pipeline and together by tenant, the rest where
-- everything goes. The indices must be among elasticsearch.allowed_indices.
local error_level = 400 -- Monolog's number

function transform(event, meta)
  local level = tonumber(event.level) or 0
  if level >= error_level then
    meta.index = "logs-errors-default"
  elseif event.channel == "audit" then
    meta.index = "logs-audit-default"
    meta.pipeline = "audit"
    local tenant = type(event.context) == "table" and event.context.tenant or ""
    if tenant ~= "" then
      meta.routing = tostring(tenant)
    end
  end
  event.received_at = meta.received_at
  event.remote = meta.remote
  return event
end

function test_an_error_has_its_index()
  local meta = {}
  transform({ level = 550, channel = "audit" }, meta)
  assert(meta.index == "logs-errors-default", meta.index)
  assert(meta.pipeline == nil)
end

function test_an_audit_event_goes_by_tenant()
  local meta = {}
  transform({ level = 200, channel = "audit", context = { tenant = 17 } }, meta)
  assert(meta.index == "logs-audit-default" and meta.pipeline == "audit" and meta.routing == "17")
end

function test_an_audit_event_without_a_tenant()
  local meta = {}
  transform(json.decode('{"level":200,"channel":"audit","context":[]}'), meta)
  assert(meta.index == "logs-audit-default" and meta.routing == nil)
end

function test_anything_else_stays()
  local meta = { received_at = "2026-01-02T03:04:05Z", remote = "10.1.2.3" }
  local event = transform({ level = "250", channel = "app" }, meta)
  assert(meta.index == nil and meta.pipeline == nil and meta.routing == nil)
  assert(event.remote == "10.1.2.3")
end
