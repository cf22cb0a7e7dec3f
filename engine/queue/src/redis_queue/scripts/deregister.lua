-- Forgets a worker that ended, unless it still holds tickets: then the sweep of its peers must find it.
-- KEYS: workers set; tickets held by the worker; metadata key of the worker.  ARGV: name of the worker
if redis.call('EXISTS', KEYS[2]) == 1 then
  return 0
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[3])
return 1
