#!lua
-- Declare channels, and remove others with all that they have. Renewals say how often that was done.
-- KEYS  owner, channels, heads, values, histories of the removed channels
-- ARGV  epoch, TTL ms, number of channels + declarations, these, removed channels ...
-- Returns 1, or 0 if the epoch is over.
local owner, channels, heads, values = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
if redis.call('HGET', owner, 'epoch') ~= ARGV[1] then return 0 end

-- What could fail fails here, before the first write.
for i = 2, 4 do redis.call('HLEN', KEYS[i]) end
local first_removed = 4 + ARGV[3]

for i = 4, first_removed - 1, 2 do redis.call('HSET', channels, ARGV[i], ARGV[i + 1]) end
for i = first_removed, #ARGV do
  redis.call('HDEL', channels, ARGV[i])
  redis.call('HDEL', heads, ARGV[i])
  redis.call('HDEL', values, ARGV[i])
end
for i = 5, #KEYS do redis.call('DEL', KEYS[i]) end
redis.call('PEXPIRE', channels, ARGV[2])
redis.call('HINCRBY', owner, 'declared', 1)
return 1
