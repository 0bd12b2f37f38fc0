#!lua flags=allow-oom
-- A worker of a shared object goes. What it has not begun goes back to the others, at the end of the stream; what it
-- leaves otherwise they settle.
-- KEYS  owner, requests, workers
-- ARGV  epoch, worker, entries that go back ...
-- Returns 1, or 0 if the epoch is over or others hold this worker for dead.
local owner, requests, workers, epoch = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
if redis.call('HGET', owner, 'epoch') ~= epoch then return 0 end
if redis.call('ZREM', workers, ARGV[2]) == 0 then return 0 end

for i = 3, #ARGV do
  local entry = redis.call('XRANGE', requests, ARGV[i], ARGV[i])[1]
  if entry then
    redis.call('XACK', requests, epoch, ARGV[i])
    redis.call('XDEL', requests, ARGV[i])
    redis.call('XADD', requests, '*', unpack(entry[2]))
  end
end
-- Nobody serves it: an owner may come at once. The group stays, and with it what waits, for the next worker.
if redis.call('ZCARD', workers) == 0 then redis.call('HSET', owner, 'released', 1) end
return 1
