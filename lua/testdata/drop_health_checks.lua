-- Drops health checks and debug noise on purpose; dropped events are counted, not kept.
local noisy = { ["/health"] = true, ["/metrics"] = true }
local probes = { "^kube%-probe/", "^ELB%-HealthChecker/", "^GoogleHC/" }
local info = 200 -- Monolog's number; what is below is debug

local function is_probe(agent)
  if type(agent) ~= "string" then
    return false
  end
  for _, pattern in ipairs(probes) do
    if agent:find(pattern) then
      return true
    end
  end
  return false
end

function transform(event)
  local level = tonumber(event.level)
  if level and level < info then
    return nil
  end
  local context = event.context
  local request = type(context) == "table" and context.request
  if type(request) == "table" and (noisy[request.path] or is_probe(request.user_agent)) then
    return nil
  end
  return event
end

test_cases = {
  { name = "a probe by its path", event = '{"level":200,"context":{"request":{"path":"/health"}}}', dropped = true },
  { name = "a probe by its agent", event = '{"context":{"request":{"path":"/","user_agent":"kube-probe/1.31"}}}', dropped = true },
  { name = "debug", event = '{"level":100,"message":"x"}', dropped = true },
  { name = "PHP's empty context", event = '{"level":200,"context":[]}', want = '{"level":200,"context":[]}' },
  { name = "a level that is text", event = '{"level":"warning"}', want = '{"level":"warning"}' },
}
