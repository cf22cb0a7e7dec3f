-- Says that the taker lives, and takes the oldest triggers.
-- KEYS: waiting, taken, takers, alive.  ARGV: taker, life in seconds, most
redis.call('SADD', KEYS[3], ARGV[1])
redis.call('SET', KEYS[4], '1', 'EX', ARGV[2])
local found = {}
for i = 1, tonumber(ARGV[3]) do
  local trigger = redis.call('RPOPLPUSH', KEYS[1], KEYS[2])
  if not trigger then break end
  found[i] = trigger
end
return found
