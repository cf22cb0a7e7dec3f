-- The server's run id tells restarts (a snapshot may bring back an old key), the key of our own tells flushes.
-- KEYS: epoch key.  ARGV: a random value, kept if there is none yet
local key = redis.call('GET', KEYS[1])
if not key then
  key = ARGV[1]
  redis.call('SET', KEYS[1], key)
end
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
return (run_id or 'unknown') .. '-' .. key
