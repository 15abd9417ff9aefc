local session = current()
local item = session and redis.call("RPOP", ITEMS)
if not item then
  return finish(false)
end
remove_tokens(session, {redis.call("RPOP", TEXTS) or nil})
session.count = session.count - 1
close_turns(session, session.count)
save(session)
return finish(item)
