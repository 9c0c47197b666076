-- A second, smaller document of each event that says who changed what, in an index of its own. The whole event goes
-- where it always goes, with the id that it would have without the copy: emitted documents are numbered last.
local audited = { create = true, update = true, delete = true, login = true }

function transform(event)
  local context = event.context
  if type(context) == "table" and audited[context.action] then
    local actor = tostring(context.user_id or "")
    emit({
      ["@timestamp"] = event.datetime,
      actor = context.user_id,
      action = context.action,
      object = context.object,
    }, { index = "logs-audit-default", routing = actor ~= "" and actor or "nobody" })
  end
  event.extra = nil
  return event
end

test_cases = {
  {
    name = "a change is copied",
    event = '{"message":"gone","context":{"action":"delete","user_id":9007199254740993,"object":"invoice/7"},"datetime":"2026-01-02T03:04:05Z"}',
    want = {
      '{"message":"gone","context":{"action":"delete","user_id":9007199254740993,"object":"invoice/7"},"datetime":"2026-01-02T03:04:05Z"}',
      '{"@timestamp":"2026-01-02T03:04:05Z","actor":9007199254740993,"action":"delete","object":"invoice/7"}',
    },
  },
  { name = "a look is not", event = '{"context":{"action":"view"}}', want = '{"context":{"action":"view"}}' },
}
