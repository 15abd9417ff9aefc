-- ARGV: whether to replace a session, the owner or "", the metadata, the state, created_at, updated_at,
-- and the items. Returns whether it was written.
local replaces, owner, metadata, state, created, updated = unpack(ARGV, 6, 11)
local session = current()
if session and replaces == "0" then
  return finish(false)
end
if session then
  remove(session)
end
session = create()
set_owner(session, owner)
append(session, 12)
set(session, "metadata", metadata)
set(session, "state", state)
set(session, "created", created)
-- After the time of this write.
set(session, "updated", updated)
save(session)
return finish("1")
