-- Ends a taken trigger. Executed twice it is harmless.
-- KEYS: taken, result ('' without a key), refused.  ARGV: trigger, result, life in seconds, note ('' unless refused), last
local held = redis.call('LREM', KEYS[1], 1, ARGV[1])
if KEYS[2] ~= '' then
  redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
end
if ARGV[4] ~= '' and held == 1 then
  redis.call('LPUSH', KEYS[3], ARGV[4])
  redis.call('LTRIM', KEYS[3], 0, ARGV[5])
end
