#!lua flags=allow-oom
-- End a batch of requests of a shared object: finished entries go, then the replies are published.
-- KEYS  owner, requests, workers
-- ARGV  epoch, worker, number of entries, then these, and of each message its channel and its text
-- Returns 1, or 0 if the epoch is over or others hold this worker for dead: they answer what it had.
local owner, requests, workers, epoch = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
if redis.call('HGET', owner, 'epoch') ~= epoch then return 0 end
if not redis.call('ZSCORE', workers, ARGV[2]) then return 0 end

redis.call('XLEN', requests)
local first_message = 4 + ARGV[3]
for i = 4, first_message - 1 do
  if not ARGV[i]:find('^%d+%-%d+$') then return redis.error_reply('ERR not an entry id: ' .. ARGV[i]) end
end
-- Lua's stack holds 8,000 arguments.
for i = 4, first_message - 1, 1000 do
  local ids = {unpack(ARGV, i, math.min(i + 999, first_message - 1))}
  redis.call('XACK', requests, epoch, unpack(ids))
  redis.call('XDEL', requests, unpack(ids))
end
for i = first_message, #ARGV, 2 do redis.call('PUBLISH', ARGV[i], ARGV[i + 1]) end
return 1
