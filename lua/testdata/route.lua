-- Errors go to an index of their own, audit events through a pipeline, the rest where they always go.
function transform(event, meta)
  local level = tonumber(event.level) or 0
  if level >= 400 then
    meta.index = "logs-errors-default"
  elseif event.channel == "audit" then
    meta.index = "logs-audit-default"
    meta.pipeline = "audit"
    meta.routing = tostring(event.context.tenant)
  end
  event.received_at = meta.received_at
  event.remote = meta.remote
  return event
end
