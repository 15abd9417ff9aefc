-- KEYS: the index, of names, of owners, of branches or by creation. Returns the number of entries that were
-- read, the last one, and the fields of the sessions as one text with separators.
local entries
if index == "created" then
  entries = redis.call("ZRANGEBYSCORE", KEYS[1], first, last, "LIMIT", 0, limit)
else
  entries = redis.call("ZRANGEBYLEX", KEYS[1], first, last, "LIMIT", 0, limit)
end
for _, entry in ipairs(entries) do
  add_row(index == "owners" and string.sub(entry, #owner + 2)
    or index == "branches" and start .. string.sub(entry, #first) or entry)
end
local frontier = entries[#entries] or ""
if index == "created" and #entries > 0 then
  frontier = redis.call("ZSCORE", KEYS[1], frontier)
end
return {#entries, frontier, table.concat(rows, "\0")}
