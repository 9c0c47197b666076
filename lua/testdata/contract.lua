-- The example of docs/lua.md: service, @timestamp and index of a Monolog event.
function transform(event, meta)
  event.service = event.context.service or "unknown"
  event["@timestamp"] = event.datetime
  event.extra = nil
  meta.index = "logs-" .. event.service
  return event
end

test_cases = {
  {
    name = "the service of the context chooses the index",
    event = '{"message":"hi","context":{"service":"billing"},"datetime":"2026-01-02T03:04:05+00:00","extra":{"uid":"a"}}',
    want = '{"message":"hi","context":{"service":"billing"},"datetime":"2026-01-02T03:04:05+00:00","service":"billing","@timestamp":"2026-01-02T03:04:05+00:00"}',
    index = "logs-billing",
  },
  { name = "an event without a context fails", event = { message = "hi" }, error = "field 'context'" },
}
