#!lua flags=allow-oom
-- Join the workers of a shared object; or begin sharing it, if the record still is what the caller has seen.
-- KEYS  owner, requests, workers, log, channels
-- ARGV  worker, seen epoch ("" = no record), seen renewals, seen released, nonce, lease ms, holder, run id, TTL ms,
--       newest generation that the caller knows of
-- Returns nothing if the record has changed, else {epoch, now ms, the entry up to which others may have begun}.
-- allow-oom: without a worker no entry goes, and memory never frees.
local owner, requests, workers, log, channels = unpack(KEYS)
local worker, nonce, lease_ms, holder, run_id, ttl, known = ARGV[1], unpack(ARGV, 5, 10)

-- All reads come before the first write: they fail on a key of a wrong type, and nothing is rolled back.
local record = redis.call('HMGET', owner, 'epoch', 'renewals', 'released', 'generation', 'kind', 'run_id', 'settled')
redis.call('ZCARD', workers)

local last, groups, has_group = '0-0', {}, false
if redis.call('EXISTS', requests) == 1 then
  last = redis.call('XREVRANGE', requests, '+', '-', 'COUNT', 1)
  last = last[1] and last[1][1] or '0-0'
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', requests)) do
    for i = 1, #group, 2 do
      if group[i] == 'name' then groups[#groups + 1] = group[i + 1] end
    end
  end
end
for _, group in ipairs(groups) do has_group = has_group or group == record[1] end

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local epoch, settled = record[1], record[7]

-- On another run of the server the group may lack what that run did last: sharing begins anew.
if not (record[5] == 'shared' and record[6] == run_id and has_group) then
  if (epoch or '') ~= ARGV[2] then return false end
  if epoch and (record[2] ~= ARGV[3] or record[3] ~= ARGV[4]) then return false end
  local generation = math.max(time[1] * 1000000 + time[2], (tonumber(record[4]) or 0) + 1, known + 1)
  generation = string.format('%.0f', generation)
  epoch, settled = generation .. '-' .. nonce, last
  for _, group in ipairs(groups) do redis.call('XGROUP', 'DESTROY', requests, group) end
  -- What is there already may have been begun: each worker that joins settles it first, and no frontend withdraws it.
  redis.call('XGROUP', 'CREATE', requests, epoch, settled, 'MKSTREAM')
  -- What runs from now on is not in a log, and so none is complete. Values and state wait for an owner of their own.
  redis.call('DEL', log, channels, workers)
  redis.call('HDEL', owner, 'lineage')
  redis.call('HSET', owner, 'epoch', epoch, 'generation', generation, 'renewals', 0, 'run_id', run_id,
    'kind', 'shared', 'settled', settled, 'joins', 0)
end
redis.call('HINCRBY', owner, 'renewals', 1)
redis.call('HSET', owner, 'renewed_ms', now, 'lease_ms', lease_ms, 'released', 0, 'holder', holder)
redis.call('ZADD', workers, now, worker)
for _, key in ipairs({owner, requests, workers}) do redis.call('PEXPIRE', key, ttl) end
return {epoch, now, settled}
