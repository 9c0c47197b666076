-- One event that carries a list of items becomes one document for each item.
function transform(event, meta)
  if type(event.items) ~= "table" or #event.items == 0 then
    return event
  end
  local docs = {}
  for i, item in ipairs(event.items) do
    docs[i] = { order = event.order, position = i, item = item }
  end
  return unpack(docs)
end

function test_one_document_for_each_item()
  local a, b, c = transform(json.decode('{"order":7,"items":[{"sku":"x"},{"sku":"y"}]}'), {})
  assert(a.item.sku == "x" and a.position == 1)
  assert(b.item.sku == "y" and b.order == 7)
  assert(c == nil)
end
