-- ARGV: whether they replace all items, the owner or "", and the items.
local session = current() or create()
set_owner(session, ARGV[7])
if ARGV[6] == "1" then
  delete_items(session)
end
append(session, 8)
save(session)
return finish(number(session.count))
