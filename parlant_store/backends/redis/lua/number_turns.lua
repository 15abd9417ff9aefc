-- Number the turns of a session of an earlier version. ARGV: the revision that was read, its next position
-- and item count, and the places of the items that open turns. Returns false if it has changed.
local key, next_position, count = unpack(ARGV, 6, 8)
local session = current()
if not session or session.turns then
  return finish("")
elseif not is_revision(session, key, next_position, count) then
  return finish(false)
end
redis.call("DEL", TURNS)
session.turns = 0
open_turns(session, ARGV[9], session.first, session.first)
redis.call("HSET", SESSION, "turns", session.turns, "first", session.first)
set_expiry(session)
return finish("")
