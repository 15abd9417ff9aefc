-- KEYS: the index by creation, and those by activity. ARGV: the beginning of the entries of ACTIVITY with
-- their limits; or "" for UPDATED, with the time and the name of the session before the page, or "". Returns what
-- list.lua does, where the last entry is a time and a name; or 1 if sessions of an earlier version of this
-- store are not in the indexes.
if redis.call("ZCARD", KEYS[1]) > redis.call("ZCARD", UPDATED) then
  return 1
end

-- Lua compares texts by the locale of the server.
local function is_before(one, other)
  for place = 1, math.min(#one, #other) do
    local byte, other_byte = string.byte(one, place), string.byte(other, place)
    if byte ~= other_byte then
      return byte < other_byte
    end
  end
  return #one < #other
end

-- Return how many entries of UPDATED come before a page.
local function rank_after(time, name)
  local low = redis.call("ZCOUNT", UPDATED, "(" .. time, "+inf")
  local high = low + redis.call("ZCOUNT", UPDATED, time, time)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if is_before(redis.call("ZREVRANGE", UPDATED, middle, middle)[1], name) then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

local function read_updated()
  local rank = first == "" and 0 or rank_after(first, last)
  local found = redis.call("ZREVRANGE", UPDATED, rank, rank + limit - 1, "WITHSCORES")
  local entries = {}
  for place = 1, #found, 2 do
    local time = tonumber(found[place + 1])
    if since and time < since then
      break
    end
    entries[#entries + 1] = {time, found[place]}
  end
  return entries
end

local function read_activity()
  local entries = {}
  for place, entry in ipairs(redis.call("ZREVRANGEBYLEX", ACTIVITY, first, last, "LIMIT", 0, limit)) do
    local high, low, name_at = struct.unpack(">I4I4", entry, #index + 1)
    local name = string.sub(entry, name_at)
    if string.sub(index, 1, 1) == "<" then
      name = string.sub(index, 2) .. string.match(name, "^%Z*")
    end
    entries[place] = {(high - 2 ^ 31) * 2 ^ 32 + low, name}
  end
  return entries
end

local entries = index == "" and read_updated() or read_activity()
for _, entry in ipairs(entries) do
  add_row(entry[2], entry[1])
end
local frontier = entries[#entries]
return {#entries, frontier and string.format("%.0f ", frontier[1]) .. frontier[2] or "", table.concat(rows, "\0")}
