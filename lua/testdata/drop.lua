-- Health checks and debug noise are dropped on purpose; they are counted, not kept.
local noisy = { ["/health"] = true, ["/metrics"] = true }

function transform(event)
  if event.level and event.level < 200 then
    return nil
  end
  local request = event.context and event.context.request
  if request and noisy[request.path] then
    return nil
  end
  return event
end
