-- Counts logins in weir_script_logins_total, by result and channel, and warns of senders that still use the old
-- field "user". Labels come from a short list, never from what a client can write freely: each value is a time series.
local channels = { web = true, api = true, cli = true }

local function channel_of(event)
  return channels[event.channel] and event.channel or "other"
end

function transform(event)
  local context = event.context
  if type(context) ~= "table" or context.action ~= "login" then
    return event
  end
  local result = context.ok == true and "ok" or "failed"
  metric.inc("logins", { result = result, channel = channel_of(event) })
  if context.user ~= nil then
    log.warn("a login names its user in the old field", { channel = event.channel, app = context.app })
    context.user_id, context.user = context.user_id or context.user, nil
  end
  return event
end

function test_only_known_channels_become_labels()
  assert(channel_of({ channel = "api" }) == "api")
  assert(channel_of({ channel = "x\r\n" }) == "other")
  assert(channel_of({}) == "other")
end

test_cases = {
  {
    name = "the old field is renamed",
    event = '{"channel":"web","context":{"action":"login","ok":true,"user":4711}}',
    want = '{"channel":"web","context":{"action":"login","ok":true,"user_id":4711}}',
  },
  { name = "no login", event = '{"context":{"user":1}}', want = '{"context":{"user":1}}' },
}
