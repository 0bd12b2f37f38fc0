#!lua
-- Publish a batch of updates: heads, retained values, history, and the messages. Offsets up to the head are skipped,
-- so that a batch that is sent again changes nothing.
-- KEYS  owner, heads, values, histories (one for each update with a history)
-- ARGV  epoch, TTL ms, prefix of the updates' channels; per update: channel, offset, value, retain (0 or 1), history
-- Returns 1, or 0 if the epoch is over.
-- Refused as a whole when memory is full: the owner keeps the updates.
local owner, heads, values = KEYS[1], KEYS[2], KEYS[3]
local epoch, ttl, prefix = ARGV[1], ARGV[2], ARGV[3]
if redis.call('HGET', owner, 'epoch') ~= epoch then return 0 end

-- What could fail fails in this loop, before the first write.
redis.call('HLEN', values)
local generation = epoch:match('^%d+')
local head = {}
local fresh = {} -- the channels that never had an update
local accepted = {}
local key = 3
for i = 4, #ARGV, 5 do
  local channel, offset, history = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 4])
  if not (offset and offset > 0 and offset % 1 == 0 and history) then
    return redis.error_reply('ERR not an update: ' .. channel)
  end
  if head[channel] == nil then
    local known = redis.call('HGET', heads, channel)
    head[channel] = tonumber(known or 0)
    if not known then fresh[channel] = true end
  end
  if history > 0 then
    key = key + 1
    redis.call('XLEN', KEYS[key])
  end
  if offset > head[channel] then
    head[channel] = offset
    accepted[#accepted + 1] = i
    accepted[#accepted + 1] = history > 0 and KEYS[key] or false
  end
end
if #accepted == 0 then return 1 end

for n = 1, #accepted, 2 do
  local i, history = accepted[n], accepted[n + 1]
  local channel, offset, value = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if redis.call('HSET', heads, channel, offset) == 1 then redis.call('PEXPIRE', heads, ttl) end
  if ARGV[i + 3] == '1' and redis.call('HSET', values, channel, offset .. ':' .. value) == 1 then
    redis.call('PEXPIRE', values, ttl)
  end
  if history then
    -- A history without a head is a remnant, and its ids may be higher.
    if fresh[channel] then redis.call('DEL', history) end
    local id = offset .. '-' .. generation -- a reader of a former owner's finds where the two part
    if not redis.call('XADD', history, 'NOMKSTREAM', 'MAXLEN', ARGV[i + 4], id, 'v', value) then
      redis.call('XADD', history, 'MAXLEN', ARGV[i + 4], id, 'v', value)
      redis.call('PEXPIRE', history, ttl)
    end
  end
  fresh[channel] = nil
end
for n = 1, #accepted, 2 do
  local i = accepted[n]
  redis.call('PUBLISH', prefix .. ARGV[i], '["' .. epoch .. '",' .. ARGV[i + 1] .. ',' .. ARGV[i + 2] .. ']')
end
return 1
