-- Puts back, oldest first in line, what takers took that no longer live. Bounded; the rest follows with the next call.
-- KEYS: waiting, takers.  ARGV: prefix, most
local left = tonumber(ARGV[2])
for _, taker in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  if redis.call('EXISTS', ARGV[1] .. ':alive:' .. taker) == 0 then
    local taken = ARGV[1] .. ':taken:' .. taker
    while left > 0 and redis.call('LMOVE', taken, KEYS[1], 'LEFT', 'RIGHT') do
      left = left - 1
    end
    if redis.call('EXISTS', taken) == 0 then
      redis.call('SREM', KEYS[2], taker)
    end
  end
end
return tonumber(ARGV[2]) - left
