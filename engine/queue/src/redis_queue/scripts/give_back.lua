-- Returns tickets that a worker holds and will not handle to the head of the queue, and wakes the others. A ticket
-- without data or meta would fail every fetch that meets it, so it is removed instead.
-- KEYS: tickets held by the worker; active list; data hash.
-- ARGV: prefix of the meta keys; wake-up channel; ticket ids...
local back = 0
for i = #ARGV, 3, -1 do
  local id = ARGV[i]
  if redis.call('SREM', KEYS[1], id) == 1 then
    local meta = ARGV[1] .. id
    if redis.call('HEXISTS', KEYS[3], id) == 1 and redis.call('EXISTS', meta) == 1 then
      redis.call('LPUSH', KEYS[2], id)
      back = back + 1
    else
      redis.call('HDEL', KEYS[3], id)
      redis.call('DEL', meta)
    end
  end
end
if back > 0 then
  redis.call('PUBLISH', ARGV[2], '')
end
return back
