function transform(event)
  event.service = event.context.service
  event.severity = event.level_name
  event.level_name = nil
  event.extra = nil
  event.env = "production"
  return event
end
