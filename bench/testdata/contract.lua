function transform(event, meta)
  event.service = event.context.service or "unknown"
  event["@timestamp"] = event.datetime
  event.extra = nil
  meta.index = "logs-" .. event.service
  return event
end
