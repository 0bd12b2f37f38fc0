#!lua flags=no-writes
-- What a person wants to know of an object: its lease, and what waits in the stream.
-- KEYS  owner, requests, workers
-- Returns {epoch, generation, renewed ms, lease ms, released, holder, entries, oldest entry's id, now ms, workers}: of the
-- entries only those that nobody has read; "" for what there is not; workers of a shared object, else 0.
local lease = redis.call('HMGET', KEYS[1], 'epoch', 'generation', 'renewed_ms', 'lease_ms', 'released', 'holder')
for i = 1, 6 do lease[i] = lease[i] or '' end

local entries, oldest = 0, ''
if redis.call('EXISTS', KEYS[2]) == 1 then
  local group = redis.call('XINFO', 'GROUPS', KEYS[2])[1]
  local cursor, lag = '0-0', false
  for i = 1, #(group or {}), 2 do
    if group[i] == 'last-delivered-id' then cursor = group[i + 1] end
    if group[i] == 'lag' then lag = group[i + 1] end
  end
  local unread = redis.call('XRANGE', KEYS[2], '(' .. cursor, '+', 'COUNT', 1)
  if unread[1] then
    oldest = unread[1][1]
    -- The server does not know the lag behind a cursor among deleted entries. Then what is being run counts, too.
    entries = lag or redis.call('XLEN', KEYS[2])
  end
end
lease[7] = entries
lease[8] = oldest
local time = redis.call('TIME')
lease[9] = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
lease[10] = redis.call('ZCARD', KEYS[3])
return lease
