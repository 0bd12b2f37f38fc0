#!lua flags=allow-oom
-- A worker of a shared object says that it lives, and takes over what workers that do not have left.
-- KEYS  owner, requests, workers, interface
-- ARGV  epoch, worker, lease ms, TTL ms, greatest number of entries
-- Returns {number of workers, id, entry, id, entry ...}, or nothing if the epoch is over or others hold this worker for
-- dead. Who has not said for a lease that it lives is dead; its entries are now this worker's, to be answered.
local owner, requests, workers = KEYS[1], KEYS[2], KEYS[3]
local epoch, worker, ttl, room = ARGV[1], ARGV[2], ARGV[4], tonumber(ARGV[5])
if redis.call('HGET', owner, 'epoch') ~= epoch then return false end
if not redis.call('ZSCORE', workers, worker) then return false end

local consumers = redis.call('XINFO', 'CONSUMERS', requests, epoch)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_ms = string.format('%.0f', now)
redis.call('HINCRBY', owner, 'renewals', 1)
redis.call('HSET', owner, 'renewed_ms', now_ms)
redis.call('ZADD', workers, now_ms, worker)
redis.call('ZREMRANGEBYSCORE', workers, '-inf', '(' .. string.format('%.0f', now - ARGV[3]))
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ttl) end

local reply = {redis.call('ZCARD', workers)}
for _, consumer in ipairs(consumers) do
  local name, pending
  for i = 1, #consumer, 2 do
    if consumer[i] == 'name' then name = consumer[i + 1] end
    if consumer[i] == 'pending' then pending = consumer[i + 1] end
  end
  if not redis.call('ZSCORE', workers, name) then
    if pending == 0 then
      redis.call('XGROUP', 'DELCONSUMER', requests, epoch, name)
    elseif room > 0 then
      local ids = {}
      for _, row in ipairs(redis.call('XPENDING', requests, epoch, '-', '+', room, name)) do ids[#ids + 1] = row[1] end
      for _, entry in ipairs(redis.call('XCLAIM', requests, epoch, worker, 0, unpack(ids))) do
        reply[#reply + 1] = entry[1]
        reply[#reply + 1] = entry[2][2]
      end
      room = room - #ids
    end
  end
end
return reply
