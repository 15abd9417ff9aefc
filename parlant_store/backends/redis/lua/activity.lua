-- The indexes by activity, which are the last two KEYS: UPDATED has the names of the sessions by the time
-- of their last write, and ACTIVITY has them for each namespace and each owner. An entry of ACTIVITY is "<",
-- the namespace, NUL, the time in eight bytes, the session id, NUL and the owner. With an owner, there is
-- also ">", the owner, NUL, the time and the name.

local UPDATED, ACTIVITY = unpack(KEYS, #KEYS - 1)

local function activity_entries(name, owner, updated)
  local separator = string.find(name, "\0", 1, true)
  local time = struct.pack(">I4I4", math.floor(updated / 2 ^ 32) + 2 ^ 31, updated % 2 ^ 32)
  local entry = "<" .. string.sub(name, 1, separator) .. time .. string.sub(name, separator + 1) .. "\0" .. owner
  if owner == "" then
    return entry
  end
  return entry, ">" .. owner .. "\0" .. time .. name
end

-- Remove the entries of a session from ACTIVITY, which usually have the given owner and time.
local function remove_entries(name, owner, updated)
  if not updated or redis.call("ZREM", ACTIVITY, activity_entries(name, owner, updated)) > 0 then
    return
  end
  updated = tonumber(redis.call("ZSCORE", UPDATED, name))
  local start = updated and activity_entries(name, "", updated)
  local found = start and redis.call("ZRANGEBYLEX", ACTIVITY, "[" .. start, "(" .. start .. "\255", "LIMIT", 0, 1)[1]
  if found then
    redis.call("ZREM", ACTIVITY, activity_entries(name, string.sub(found, #start + 1), updated))
  end
end

local function remove_activity(name, owner)
  remove_entries(name, owner, tonumber(redis.call("ZSCORE", UPDATED, name)))
  redis.call("ZREM", UPDATED, name)
end

local function add_activity(name, owner, updated)
  redis.call("ZADD", UPDATED, updated, name)
  local entry, of_owner = activity_entries(name, owner, tonumber(updated))
  if of_owner then
    redis.call("ZADD", ACTIVITY, 0, entry, 0, of_owner)
  else
    redis.call("ZADD", ACTIVITY, 0, entry)
  end
end

