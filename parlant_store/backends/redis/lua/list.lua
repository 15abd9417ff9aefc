-- KEYS: the index, of names, of owners, of branches or by creation. ARGV: the beginning of the keys of sessions, the
-- time, the kind of the index, its limits, the number of entries to read, the owner or "", the
-- beginning of the names and of the session ids, the time of the earliest write, or "", and further
-- fields to read. Returns the number of entries that were read, the last one, and the fields of the
-- sessions as one text with separators.
local base, now, index, first, last, limit, owner, start, prefix, since = unpack(ARGV, 1, 10)
now, since = tonumber(now), tonumber(since)
local entries
if index == "created" then
  entries = redis.call("ZRANGEBYSCORE", KEYS[1], first, last, "LIMIT", 0, limit)
else
  entries = redis.call("ZRANGEBYLEX", KEYS[1], first, last, "LIMIT", 0, limit)
end
local rows = {}
for _, entry in ipairs(entries) do
  local name = index == "owners" and string.sub(entry, #owner + 2)
    or index == "branches" and start .. string.sub(entry, #first) or entry
  local separator = string.find(name, "\0", 1, true)
  if string.sub(name, 1, #start) == start
      and (prefix == "" or string.sub(name, separator + 1, separator + #prefix) == prefix) then
    local row = redis.call("HMGET", base .. name, "key", "count", "created", "updated", "expires", "owner", unpack(ARGV, 11))
    if row[1] and row[4] and not (row[5] and (tonumber(row[5]) or 0) <= now)
        and (owner == "" or row[6] == owner) and not (since and (tonumber(row[4]) or 0) < since) then
      rows[#rows + 1] = name
      for place = 1, #ARGV - 4 do
        rows[#rows + 1] = row[place] or ""
      end
    end
  end
end
local frontier = entries[#entries] or ""
if index == "created" and #entries > 0 then
  frontier = redis.call("ZSCORE", KEYS[1], frontier)
end
return {#entries, frontier, table.concat(rows, "\0")}
