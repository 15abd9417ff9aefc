-- KEYS: the hash of the session, its lists of items, of words and of turns. ARGV: the time, whether
-- words are read, the place of the first item, and whether turns are read.
-- Returns fields, items, words and turns, or false.
local fields = {
  "key", "next", "expires", "state", "owner", "metadata", "created", "updated", "first", "turns", "usage", "usage_0",
  "parent", "parent_position",
}
local row = redis.call("HMGET", KEYS[1], unpack(fields))
if not row[1] or (row[3] and (tonumber(row[3]) or 0) <= tonumber(ARGV[1])) then
  return false
end
for place = 1, #fields do
  row[place] = row[place] or ""
end
local texts = ARGV[2] == "1" and redis.call("LRANGE", KEYS[3], ARGV[3], -1) or {}
local turns = ARGV[4] == "1" and redis.call("LRANGE", KEYS[4], 0, -1) or {}
return {row, redis.call("LRANGE", KEYS[2], ARGV[3], -1), texts, turns}
