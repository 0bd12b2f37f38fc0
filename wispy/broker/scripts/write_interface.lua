#!lua
-- Write what rpc.discover shows of the object.
-- KEYS  owner, interface
-- ARGV  epoch, TTL ms, interface
-- Returns 1, or 0 if the epoch is over.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])
return 1
