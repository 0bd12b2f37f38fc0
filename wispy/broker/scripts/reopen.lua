#!lua flags=allow-oom
-- Set the cursor: all groups go (a reader blocked on one gets NOGROUP at once), one is made at the cursor.
-- With released = 1 the owner also gives the lease up.
-- KEYS  owner, requests
-- ARGV  epoch, cursor, released (0 or 1), TTL ms, notices
-- Returns the name of the new group, or nothing if the epoch is over.
-- The name is a new one each time: a reader that is blocked on a group does not notice that one of the same name has
-- replaced it, and a half-dead connection would swallow the next entries.
local owner, requests, epoch, cursor = KEYS[1], KEYS[2], ARGV[1], ARGV[2]

local lease = redis.call('HMGET', owner, 'epoch', 'released', 'renewals')
if lease[1] ~= epoch or lease[2] ~= '0' then return false end
if not cursor:match('^%d+%-%d+$') then return redis.error_reply('ERR the cursor is not an entry id: ' .. cursor) end

if redis.call('EXISTS', requests) == 1 then
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', requests)) do
    for i = 1, #group, 2 do
      if group[i] == 'name' then redis.call('XGROUP', 'DESTROY', requests, group[i + 1]) end
    end
  end
end
local group = epoch .. '+' .. redis.call('HINCRBY', owner, 'joins', 1)
redis.call('XGROUP', 'CREATE', requests, group, cursor, 'MKSTREAM')
redis.call('PEXPIRE', requests, ARGV[4])
if ARGV[3] == '1' then
  redis.call('HSET', owner, 'released', 1)
  redis.call('PUBLISH', ARGV[5],
    '{"epoch":"' .. epoch .. '","heads":{},"renewals":' .. lease[3] .. ',"released":true}')
end
return group
