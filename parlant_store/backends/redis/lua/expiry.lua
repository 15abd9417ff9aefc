-- When the server deletes the keys of a session: a little later than the session expires.

local MARGIN = 60000000

-- Return the milliseconds until then. Times are microseconds since 1970.
local function lifetime(expires, now)
  return math.max(0, math.ceil((expires - now) / 1000)) + MARGIN / 1000
end

-- An entry of the index by expiry is a name and an owner.
local function expiry_entry(name, owner)
  return name .. "\0" .. owner
end

