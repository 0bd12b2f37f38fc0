#!lua flags=allow-oom
-- Take back an entry that no owner has received: it lies beyond the cursor of each group.
-- KEYS  requests
-- ARGV  entry id
-- Returns 1 if it was there and is gone now, else 0.
local requests, id = KEYS[1], ARGV[1]
if #redis.call('XRANGE', requests, id, id) == 0 then return 0 end
for _, group in ipairs(redis.call('XINFO', 'GROUPS', requests)) do
  for i = 1, #group, 2 do
    -- The newest entry beyond the cursor and up to this one is this one, or the cursor has passed it.
    if group[i] == 'last-delivered-id' then
      local beyond = redis.call('XREVRANGE', requests, id, '(' .. group[i + 1], 'COUNT', 1)
      if #beyond == 0 or beyond[1][1] ~= id then return 0 end
    end
  end
end
return redis.call('XDEL', requests, id)
