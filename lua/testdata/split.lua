-- An event that carries a list of items becomes one document for each item. An id that does not fit a number
-- passes unharmed, as it is only moved.
function transform(event)
  local items = event.items
  if type(items) ~= "table" or #items == 0 then
    return event
  end
  local docs = {}
  for i, item in ipairs(items) do
    docs[i] = { order = event.order, position = i, item = item }
  end
  return unpack(docs)
end

function test_one_document_for_each_item()
  local a, b, c = transform(json.decode('{"order":7,"items":[{"sku":"x"},{"sku":"y"}]}'))
  assert(a.item.sku == "x" and a.position == 1)
  assert(b.item.sku == "y" and b.order == 7)
  assert(c == nil)
end

test_cases = {
  {
    name = "in the order of the list",
    event = '{"order":90071992547409931,"items":[{"sku":"x"},{"sku":"y"}]}',
    want = {
      '{"order":90071992547409931,"position":1,"item":{"sku":"x"}}',
      '{"order":90071992547409931,"position":2,"item":{"sku":"y"}}',
    },
  },
  { name = "nothing to split", event = '{"items":[]}', want = '{"items":[]}' },
}
