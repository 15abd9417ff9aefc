-- ARGV: the owner or "", the revision's key or "", its next position and item count, the turn or the
-- position from which on items are deleted, and the items. Returns the numbers of deleted items and of
-- those that the session has, false if it has changed, 0 if there is none, 1 if its turns are not
-- numbered, and 2 if there is no such turn or position.
local owner, key, next_position, count, turn, position = unpack(ARGV, 6, 11)
local session = current()
if not session then
  return 0
elseif not session.turns then
  return 1
elseif key ~= "" and not is_revision(session, key, next_position, count) then
  return finish(false)
end
local index = start_of(session, turn, position)
if not index then
  return 2
end
local deleted = session.count - index
set_owner(session, owner)
delete_tail(session, index)
append(session, 12)
save(session)
return finish(number(deleted) .. " " .. number(session.count))
