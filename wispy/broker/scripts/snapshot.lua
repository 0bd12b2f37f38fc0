#!lua flags=no-writes
-- What a subscriber starts from, as of one moment.
-- KEYS  owner, channels, heads, values
-- ARGV  channel
-- Returns nothing if there is no such channel, else {declaration, epoch, lineage, head, "<offset>:<value>"}; all but the
-- first may be missing ("").
local declaration = redis.call('HGET', KEYS[2], ARGV[1])
if not declaration then return false end
local lease = redis.call('HMGET', KEYS[1], 'epoch', 'lineage')
return {
  declaration,
  lease[1] or '',
  lease[2] or '',
  redis.call('HGET', KEYS[3], ARGV[1]) or '',
  redis.call('HGET', KEYS[4], ARGV[1]) or '',
}
