-- What listings start with. ARGV: the beginning of the keys of sessions, the time, the kind or the beginning
-- of the entries of the index, its limits, the number of entries to read, the owner or "", the beginning of the
-- names and of the session ids, the time of the earliest write, or "", and further fields to read.

local base, now, index, first, last, limit, owner, start, prefix, since = unpack(ARGV, 1, 10)
now, since = tonumber(now), tonumber(since)
local rows = {}

-- Add the session to the rows if it matches; ``updated`` is the time in an index by activity.
local function add_row(name, updated)
  local separator = string.find(name, "\0", 1, true)
  if string.sub(name, 1, #start) ~= start
      or (prefix ~= "" and string.sub(name, separator + 1, separator + #prefix) ~= prefix) then
    return
  end
  local row = redis.call("HMGET", base .. name, "key", "count", "created", "updated", "expires", "owner", unpack(ARGV, 11))
  if row[1] and row[4] and not (row[5] and (tonumber(row[5]) or 0) <= now)
      and (owner == "" or row[6] == owner) and not (since and (tonumber(row[4]) or 0) < since) then
    if updated and tonumber(row[4]) ~= updated then
      row[4] = string.format("%.0f", updated)
    end
    rows[#rows + 1] = name
    for place = 1, #ARGV - 4 do
      rows[#rows + 1] = row[place] or ""
    end
  end
end

