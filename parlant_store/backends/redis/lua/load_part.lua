-- ARGV: the turn or the position before which the part ends, both "" for all items. Returns fields, and
-- the items, words and turns of the part, or 2 if there is no such turn or position.
local count = start_of(session, ARGV[2], ARGV[3])
if not count then
  return 2
end
local fields = {
  "next", "expires", "state", "owner", "metadata", "tokens", "buckets", "tool_buckets", "first", "turns", "usage", "usage_0",
}
local row = redis.call("HMGET", SESSION, unpack(fields))
for place = 1, #fields do
  row[place] = row[place] or ""
end
local turns = redis.call("LRANGE", TURNS, 0, -1)
while turns[1] and tonumber(string.match(turns[#turns], "^%d+")) >= session.first + count do
  turns[#turns] = nil
end
if count == 0 then
  return {row, {}, {}, turns, session.count}
end
return {row, redis.call("LRANGE", ITEMS, 0, count - 1), redis.call("LRANGE", TEXTS, 0, count - 1), turns, session.count}
