-- Add sessions of an earlier version of this store to the indexes by activity, the newest ones first. KEYS: the
-- index by creation, and those by activity. ARGV: the beginning of the keys of sessions, the highest key,
-- and the number of sessions to read. Returns the last key, or false if all sessions are in the indexes.
local CREATED, sessions, highest, limit = KEYS[1], unpack(ARGV)
local found = redis.call("ZREVRANGEBYSCORE", CREATED, highest, "-inf", "WITHSCORES", "LIMIT", 0, limit)
for place = 1, #found, 2 do
  local name, key = found[place], found[place + 1]
  if not redis.call("ZSCORE", UPDATED, name) then
    -- The server may have expired it.
    local row = redis.call("HMGET", sessions .. name, "updated", "owner")
    local updated = row[1] and string.match(row[1], "^%-?%d+$") or key
    if string.find(name, "\0", 1, true) then
      add_activity(name, row[2] or "", updated)
    else
      redis.call("ZADD", UPDATED, updated, name)
    end
  end
end
return redis.call("ZCARD", CREATED) > redis.call("ZCARD", UPDATED) and found[#found] or false
