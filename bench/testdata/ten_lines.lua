function transform(event, meta)
  if event.channel == "health" then return nil end
  event.service = event.context.service or "unknown"
  event.severity = event.level_name
  event.env = "production"
  event["@timestamp"] = event.datetime
  event.extra = nil
  meta.index = "logs-" .. event.service
  return event
end
