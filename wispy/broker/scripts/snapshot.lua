#!lua flags=no-writes
-- What a subscriber starts from, as of one moment.
-- KEYS  owner, channels, heads, values
-- ARGV  channel
-- Returns nothing if there is no such channel, else {declaration, epoch, head, "<offset>:<value>"}; the last three may be
-- missing ("").
local declaration = redis.call('HGET', KEYS[2], ARGV[1])
if not declaration then return false end
return {
  declaration,
  redis.call('HGET', KEYS[1], 'epoch') or '',
  redis.call('HGET', KEYS[3], ARGV[1]) or '',
  redis.call('HGET', KEYS[4], ARGV[1]) or '',
}
