-- ARGV: the usage, the turn or "" for the last one, and whether it replaces the usage of the turn.
-- Returns false if there is no session, 1 if its turns are not numbered, and 2 if there is no such turn.
local usage, number_of_turn, replaces = ARGV[6], ARGV[7], ARGV[8] == "1"
local session = current()
if not session then
  return finish(false)
elseif not session.turns then
  return 1
end
local turn
if number_of_turn == "" and session.turns > 0 then
  turn = turn_at(-1)
elseif number_of_turn ~= "" and number_of_turn ~= "0" then
  turn = turn_numbered(session, tonumber(number_of_turn))
  if not turn then
    return 2
  end
end
read_usage(session)
local first = turn_at(0)
local is_turn_0 = not turn and session.count > 0 and not (first and first.place == session.first)
local before = turn and turn.usage or is_turn_0 and session.usage_0 or ""
local after = usage_of(add_counts(replaces and {} or add_counts({}, before, 1), usage, 1))
change_usage(session, usage, {replaces and before or ""})
if turn then
  local entry = {number(turn.place), number(turn.position), number(turn.number), turn.time, after}
  redis.call("LSET", TURNS, turn.index, table.concat(entry, " "))
elseif is_turn_0 then
  set(session, "usage_0", after)
end
redis.call("HSET", SESSION, "tokens", number(session.tokens), unpack(session.changes))
return finish("")
