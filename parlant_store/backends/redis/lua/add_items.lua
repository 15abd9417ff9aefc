-- ARGV: whether they replace all items, the owner or "", and the items.
local session = current() or create()
if ARGV[6] == "1" then
  delete_items(session)
end
set_owner(session, ARGV[7])
append(session, 8)
save(session)
return finish(number(session.count))
