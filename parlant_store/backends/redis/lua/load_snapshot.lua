-- KEYS: the hash of the session, its lists of items and of words. ARGV: the time, whether
-- words are read, and the place of the first item.
-- Returns fields, items and words, or false.
local row = redis.call("HMGET", KEYS[1], "key", "next", "expires", "state", "owner", "metadata", "tokens",
  "buckets", "tool_buckets", "created", "updated")
if not row[1] or (row[3] and (tonumber(row[3]) or 0) <= tonumber(ARGV[1])) then
  return false
end
for place = 1, 11 do
  row[place] = row[place] or ""
end
local texts = ARGV[2] == "1" and redis.call("LRANGE", KEYS[3], ARGV[3], -1) or {}
return {row, redis.call("LRANGE", KEYS[2], ARGV[3], -1), texts}
