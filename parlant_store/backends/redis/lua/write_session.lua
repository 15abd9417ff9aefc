-- ARGV: whether to replace a session, the owner or "", the metadata, the state, created_at, updated_at,
-- the number of the turn before the items, the usage and its tokens, that of turn 0, the parent or "",
-- the position of the last item that was copied from it or "", the number of turns with usage, for each
-- its number and its usage, and the items. Returns whether it was written.
local replaces, owner, metadata, state, created, updated = unpack(ARGV, 6, 11)
local last_turn, usage, tokens, usage_0, parent, parent_position, turns = unpack(ARGV, 12, 18)
local items, turn_usage = 19 + 2 * tonumber(turns), {}
for place = 19, items - 2, 2 do
  turn_usage[tonumber(ARGV[place])] = ARGV[place + 1]
end
check_indexes()
local session = current()
if session and replaces == "0" then
  return finish(false)
end
if session then
  remove(session)
end
session = create()
set_owner(session, owner)
set(session, "turns", tonumber(last_turn))
append(session, items, turn_usage)
session.tokens = session.tokens + tonumber(tokens)
for field, value in pairs({
  metadata = metadata, state = state, created = created, usage = usage, usage_0 = usage_0, parent = parent,
  parent_position = parent_position,
}) do
  set(session, field, value)
end
if parent ~= "" then
  add_branch(parent)
end
-- After the time of this write.
set(session, "updated", updated)
save(session)
return finish("1")
