-- ARGV: the owner or "", the state, the revision's key or "" to replace all items, its next position
-- and item count, the number of items to delete at the start and to keep after them, and the items.
-- Returns the new revision, or false.
local owner, state, key, next_position, count, drop, keep = unpack(ARGV, 6, 12)
local session = current()
if key == "" then
  session = session or create()
  set_owner(session, owner)
  delete_items(session)
else
  if not (session and is_revision(session, key, next_position, count)) then
    return finish(false)
  end
  set_owner(session, owner)
  drop, keep = tonumber(drop), tonumber(keep)
  delete_tail(session, drop + keep)
  delete_head(session, drop)
end
append(session, 13)
set(session, "state", state)
save(session)
return finish(number(session.key) .. " " .. number(session.next) .. " " .. number(session.count))
