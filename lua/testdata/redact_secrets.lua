-- Mail addresses, card numbers and tokens are masked wherever they stand, at any depth; the values of
-- fields with these names go whole. What has nothing to hide leaves byte for byte.
local options = {
  fields = { "password", "passwd", "secret", "token", "api_key", "authorization", "cookie", "set-cookie" },
}

function transform(event)
  redact(event, options)
  return event
end

test_cases = {
  {
    name = "by content",
    event = '{"message":"a.b@example.org paid with 4111 1111 1111 1111."}',
    want = '{"message":"<mail> paid with <card>."}',
  },
  {
    name = "by name, in lists too",
    event = '{"context":{"Password":"hunter2","headers":[{"Authorization":"Basic eDp5"}]}}',
    want = '{"context":{"Password":"<removed>","headers":[{"Authorization":"<removed>"}]}}',
  },
  {
    name = "digits that are no card number",
    event = '{"message":"order 4111111111111112","n":1767323045678}',
    want = '{"message":"order 4111111111111112","n":1767323045678}',
  },
}
