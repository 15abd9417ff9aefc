-- ARGV: which session is deleted: "current", one that has not expired; "expired"; or "rule", one that
-- has not expired and was created and last written until two times, each may be "". For "expired", the
-- owner in its entry of EXPIRES, which may be an entry of an earlier session with this name.
-- Returns the number of its items, or false.
local which, created_until, updated_until = ARGV[6], ARGV[7], ARGV[8]
redis.call("ZCARD", NAMES)
redis.call("ZCARD", OWNERS)
redis.call("ZCARD", CREATED)
local session = read(true)
if which == "expired" and not (session and session.owner == ARGV[7]) then
  redis.call("ZREM", EXPIRES, expiry_entry(NAME, ARGV[7]))
  remove_owner(NAME, ARGV[7])
end
if not session then
  redis.call("ZREM", NAMES, NAME)
  redis.call("ZREM", CREATED, NAME)
  remove_activity(NAME, "")
  return finish(false)
end
local is_expired = is_due(session.expires) or false
local matches = (which == "expired") == is_expired
if which == "rule" then
  local updated = redis.call("HGET", SESSION, "updated")
  matches = matches and (created_until == "" or (whole(session.created) or 0) <= tonumber(created_until))
  matches = matches and (updated_until == "" or (whole(updated) or 0) <= tonumber(updated_until))
end
if matches or (is_expired and which == "current") then
  remove(session)
elseif which == "expired" then
  set_expiry(session)
end
return finish(matches and number(session.count) or false)
