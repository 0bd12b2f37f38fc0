#!lua flags=allow-oom
-- Take the lease, if the record still is what the caller has seen.
-- KEYS  owner, requests, log, heads, values, channels, interface, state, workers
-- ARGV  seen epoch ("" = no record), seen renewals, seen released, nonce, lease ms, holder, run id, TTL ms, notices,
--       newest generation that the caller knows of, former generation of the caller ("" = none, or not the last one),
--       and of that: per channel its name and the newest offset that was given out
-- Returns nothing if the record has changed, else {epoch, now ms, cursor, since}.
-- allow-oom: without an owner nothing is acknowledged, and memory never frees.
local owner, requests, log, heads = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local nonce, lease_ms, holder, run_id, ttl, notices, known, former = unpack(ARGV, 4, 11)

local record = redis.call('HMGET', owner, 'epoch', 'renewals', 'released', 'generation', 'lineage')
if (record[1] or '') ~= ARGV[1] then return false end
if record[1] and (record[2] ~= ARGV[2] or record[3] ~= ARGV[3]) then return false end

-- All reads come before the first write: they fail on a key of a wrong type, and nothing is rolled back.
local since = redis.call('HGET', log, 'since')
redis.call('ZCARD', KEYS[9])
redis.call('HLEN', heads)

local function is_before(a, b)
  local a_ms, a_seq = a:match('(%d+)-(%d+)')
  local b_ms, b_seq = b:match('(%d+)-(%d+)')
  if a_ms ~= b_ms then return tonumber(a_ms) < tonumber(b_ms) end
  return tonumber(a_seq) < tonumber(b_seq)
end

local function field(map, name)
  for i = 1, #map, 2 do
    if map[i] == name then return map[i + 1] end
  end
end

-- The cursor: what exists up to it may have been received by a former owner. Without any group nobody knows, so it is
-- the stream's end. A group may stand beyond the end (after a failover that lost entries): new ones must not be skipped.
local cursor = '0-0'
local groups = {}
if redis.call('EXISTS', requests) == 1 then
  cursor = field(redis.call('XINFO', 'STREAM', requests), 'last-generated-id')
  groups = redis.call('XINFO', 'GROUPS', requests)
  for _, group in ipairs(groups) do
    local delivered = field(group, 'last-delivered-id')
    if is_before(delivered, cursor) then cursor = delivered end
  end
end

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local generation = time[1] * 1000000 + time[2]
-- The record may be lost, or be an old one, and the clock may be that of another server, which is behind.
generation = math.max(generation, (tonumber(record[4]) or 0) + 1, known + 1)
generation = string.format('%.0f', generation)
local epoch = generation .. '-' .. nonce

for _, group in ipairs(groups) do
  redis.call('XGROUP', 'DESTROY', requests, field(group, 'name'))
end
redis.call('XGROUP', 'CREATE', requests, epoch, cursor, 'MKSTREAM')

-- The owners from one to the next of whom no update can have been lost unnoticed, the newest last.
local lineage = {}
for each in (record[5] or ''):gmatch('%d+') do lineage[#lineage + 1] = each end

-- A log of another run of the server may lack what that run did last: memory starts anew. Only the last owner itself
-- knows which updates that run took; a record older than it shows that the record was lost, too.
if not since or since:match('^(.*):') ~= run_id then
  since = run_id .. ':' .. now
  redis.call('DEL', log)
  redis.call('HSET', log, 'since', since)
  if former == '' then
    lineage = {}
  elseif lineage[#lineage] ~= former then
    lineage = {former}
  end
end
lineage[#lineage + 1] = generation
redis.call('HSET', owner, 'epoch', epoch, 'generation', generation, 'renewals', 0, 'renewed_ms', now, 'run_id', run_id,
  'lease_ms', lease_ms, 'released', 0, 'holder', holder, 'joins', 0, 'kind', 'owned',
  'lineage', table.concat(lineage, ' ', math.max(1, #lineage - 15)))

-- What was shared before is not any more.
redis.call('HDEL', owner, 'settled')
redis.call('DEL', KEYS[9])

-- What the caller had given out as the last owner, and Redis has not: nobody uses these offsets again.
for i = 12, #ARGV, 2 do
  if (tonumber(redis.call('HGET', heads, ARGV[i])) or 0) < tonumber(ARGV[i + 1]) then
    redis.call('HSET', heads, ARGV[i], ARGV[i + 1])
  end
end
local newest = redis.call('HGETALL', heads)
-- A hash of up to 512 short fields is a list that each access searches; one long value makes it a table for good.
-- That halves what the finish script costs.
redis.call('HSET', log, 'long', string.rep('-', 512))
redis.call('HDEL', log, 'long')
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ttl) end

local shown = {}
for i = 1, #newest, 2 do shown[#shown + 1] = cjson.encode(newest[i]) .. ':' .. newest[i + 1] end
redis.call('PUBLISH', notices, '{"epoch":"' .. epoch .. '","heads":{' .. table.concat(shown, ',') .. '},"renewals":0}')
return {epoch, now, cursor, since}
