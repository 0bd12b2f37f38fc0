#!lua flags=allow-oom
-- End a batch of requests: write the log, forget what is acknowledged, delete finished entries, publish the replies.
-- KEYS  owner, requests, log
-- ARGV  epoch, number of log fields + values, of fields to forget, of entries, of messages * 3; then all of these: of a
--       message its channel ("": it is only logged), its field of the log ("": it is only published), and its text
-- Returns 1, or 0 if the epoch is over. A batch may be sent again, also one that has failed half way (a key of a wrong
-- type): what is written twice is the same, and nothing is said before all is written.
-- allow-oom: this frees memory. The log exists with its time to live since acquire, so nothing is extended here.
local owner, requests, log = KEYS[1], KEYS[2], KEYS[3]
if redis.call('HGET', owner, 'epoch') ~= ARGV[1] then return 0 end

local first_forgotten = 6 + ARGV[2]
local first_entry = first_forgotten + ARGV[3]
local first_message = first_entry + ARGV[4]
local last = first_message + ARGV[5] - 1
if last ~= #ARGV then return redis.error_reply('ERR the counts do not match the arguments') end

-- Lua's stack holds 8,000 arguments; 1,000 is even, so that pairs stay together.
local function in_chunks(command, key, first, past)
  for i = first, past - 1, 1000 do
    redis.call(command, key, unpack(ARGV, i, math.min(i + 999, past - 1)))
  end
end

in_chunks('HSET', log, 6, first_forgotten)
for i = first_message, last, 3 do
  if ARGV[i + 1] ~= '' then redis.call('HSET', log, ARGV[i + 1], ARGV[i + 2]) end
end
in_chunks('HDEL', log, first_forgotten, first_entry)
in_chunks('XDEL', requests, first_entry, first_message)
for i = first_message, last, 3 do
  if ARGV[i] ~= '' then redis.call('PUBLISH', ARGV[i], ARGV[i + 2]) end
end
return 1
