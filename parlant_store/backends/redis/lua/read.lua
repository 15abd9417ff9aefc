-- What reads of turns start with. turns.lua and the operation follow in the same script.
--
-- KEYS: the hash of the session, its lists of items, of words and of turns. ARGV: the time, and those of
-- the operation. Returns 0 if there is no session, and 1 if its turns are not numbered.

local SESSION, ITEMS, TEXTS, TURNS = unpack(KEYS)
local ROW = redis.call("HMGET", SESSION, "key", "next", "expires", "first", "turns", "usage_0")
if not ROW[1] or (ROW[3] and (tonumber(ROW[3]) or 0) <= tonumber(ARGV[1])) then
  return 0
end
local session = {
  count = redis.call("LLEN", ITEMS), next = tonumber(ROW[2]), first = tonumber(ROW[4] or 0),
  turns = tonumber(ROW[5]), usage_0 = ROW[6] or "",
}
if not session.next or not session.first then
  error("damaged session")
elseif not session.turns and session.count > 0 then
  return 1
end
session.turns = session.turns or 0

