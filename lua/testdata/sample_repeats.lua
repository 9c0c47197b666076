-- Of a message that comes again and again the first one passes, then every hundredth, which says how many there were.
-- Errors always pass. Each worker counts for itself, so that with several of them a few more pass.
local every = 100
local error_level = 400 -- Monolog's number
local room = 5000 -- names that are kept; the state holds 10,000 at most

state = { names = 0 }

local function seen(event)
  local name = "seen/" .. hash.xxh64(tostring(event.channel) .. "\0" .. tostring(event.message))
  if state[name] == nil then
    if state.names >= room then -- forget all and begin anew: a message passes once more
      for old in pairs(state) do
        state[old] = nil
      end
      state.names = 0
    end
    state.names = state.names + 1
  end
  state[name] = (state[name] or 0) + 1
  return state[name]
end

function transform(event)
  if (tonumber(event.level) or 0) >= error_level then
    return event
  end
  local count = seen(event)
  if count > 1 and count % every ~= 0 then
    return nil
  end
  if count > 1 then
    event.repeated = count
  end
  return event
end

function test_first_and_hundredth_pass()
  local passed = {}
  for i = 1, 200 do
    local event = transform({ channel = "app", message = "cache miss" })
    if event then
      passed[#passed + 1] = i
      assert(event.repeated == (i > 1 and i or nil))
    end
  end
  assert(table.concat(passed, " ") == "1 100 200", table.concat(passed, " "))
end

function test_other_messages_and_errors_pass()
  assert(transform({ channel = "app", message = "a" }))
  assert(transform({ channel = "app", message = "b" }))
  for _ = 1, 3 do
    assert(transform({ level = 500, message = "boom" }))
  end
end

function test_the_state_stays_small()
  for i = 1, room + 1 do
    transform({ message = "message " .. i })
  end
  assert(state.names == 1)
end
