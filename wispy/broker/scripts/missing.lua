#!lua flags=no-writes
-- Which of these entries are in the stream no more: their requests are final.
-- KEYS  requests
-- ARGV  entry ids ...
local missing = {}
for _, id in ipairs(ARGV) do
  if #redis.call('XRANGE', KEYS[1], id, id) == 0 then missing[#missing + 1] = id end
end
return missing
