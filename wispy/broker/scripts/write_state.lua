#!lua
-- Store the object's own state, for its next owner.
-- KEYS  owner, state
-- ARGV  epoch, TTL ms, writer, form, data
-- Returns 1, or 0 if the epoch is over.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], 'writer', ARGV[3], 'form', ARGV[4], 'data', ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
