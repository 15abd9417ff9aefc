local session = current()
local item = session and redis.call("RPOP", ITEMS)
if not item then
  return finish(false)
end
session.tokens = session.tokens - tokens_of(redis.call("RPOP", TEXTS))
session.count = session.count - 1
save(session)
return finish(item)
