-- The usage of a session and of its turns.

-- Usage is a JSON object of counts, whose names have no quotes in them, or "".

local function add_counts(counts, usage, sign)
  for name, count in string.gmatch(usage, '"([^"]*)": ?(%d+)') do
    counts[name] = (counts[name] or 0) + sign * tonumber(count)
  end
  return counts
end

local function usage_of(counts)
  local parts, is_used = {}, false
  for name, count in pairs(counts) do
    parts[#parts + 1] = '"' .. name .. '":' .. number(math.max(0, count))
    is_used = is_used or count > 0
  end
  table.sort(parts)
  return is_used and "{" .. table.concat(parts, ",") .. "}" or ""
end

-- Read what a session used when it is changed for the first time.
local function read_usage(session)
  if not session.usage then
    local usage = redis.call("HMGET", SESSION, "usage", "usage_0")
    session.usage, session.usage_0 = usage[1] or "", usage[2] or ""
  end
end

-- Change the usage and the tokens of the session: add those of one turn, and take away those of others.
local function change_usage(session, added, removed)
  if added == "" and #removed == 0 then
    return
  end
  read_usage(session)
  local counts, change = add_counts({}, session.usage, 1), add_counts({}, added, 1)
  add_counts(counts, added, 1)
  for _, usage in ipairs(removed) do
    add_counts(counts, usage, -1)
    add_counts(change, usage, -1)
  end
  set(session, "usage", usage_of(counts))
  session.tokens = math.max(0, session.tokens + (change.total_tokens or 0))
end

