#!lua flags=allow-oom
-- Renew the lease, tell subscribers the heads of some channels, and extend the time to live of some keys.
-- KEYS  owner, heads, keys to extend ...
-- ARGV  epoch, TTL ms, notices, channels ...
-- Returns 1, or 0 if the epoch is over.
local lease = redis.call('HMGET', KEYS[1], 'epoch', 'released', 'declared')
if lease[1] ~= ARGV[1] or lease[2] ~= '0' then return 0 end

local shown = {}
for i = 4, #ARGV do
  local head = redis.call('HGET', KEYS[2], ARGV[i])
  if head then shown[#shown + 1] = cjson.encode(ARGV[i]) .. ':' .. head end
end
local renewals = redis.call('HINCRBY', KEYS[1], 'renewals', 1)
local time = redis.call('TIME')
local now_ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('HSET', KEYS[1], 'renewed_ms', now_ms)
for i = 3, #KEYS do redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
redis.call('PUBLISH', ARGV[3],
  '{"epoch":"' .. ARGV[1] .. '","heads":{' .. table.concat(shown, ',') .. '},"renewals":' .. renewals .. ',"ms":' .. now_ms ..
  ',"declared":' .. (lease[3] or 0) .. '}')
return 1
