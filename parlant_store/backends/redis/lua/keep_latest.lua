-- ARGV: the numbers of items and of turns to keep at least, each may be "". Returns the number of deleted
-- items, or 1 if the turns of the session are not numbered.
local items, turns = tonumber(ARGV[6]), tonumber(ARGV[7])
local session = current()
if not session then
  return finish("0")
elseif not session.turns then
  return 1
end
local kept, number_of_turns = 0, 0
while kept < (items or 0) or number_of_turns < (turns or 0) do
  number_of_turns = number_of_turns + 1
  local turn = turn_at(-number_of_turns)
  if not turn then
    kept = session.count
    break
  end
  kept = session.first + session.count - turn.place
end
local deleted = session.count - kept
delete_head(session, deleted)
if deleted > 0 then
  redis.call("HSET", SESSION, "count", session.count, "tokens", number(session.tokens), unpack(session.changes))
end
return finish(number(deleted))
