-- Removes every trace of tickets that a worker holds. A ticket that is no longer among the worker's own was swept
-- back into the queue meanwhile: its data must stay, or the fetch that meets it fails for its whole batch.
-- KEYS: tickets held by the worker; data hash.  ARGV: prefix of the meta keys; ticket ids...
local gone = 0
for i = 2, #ARGV do
  if redis.call('SREM', KEYS[1], ARGV[i]) == 1 then
    redis.call('HDEL', KEYS[2], ARGV[i])
    redis.call('DEL', ARGV[1] .. ARGV[i])
    gone = gone + 1
  end
end
return gone
