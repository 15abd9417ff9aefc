-- The session expires at EXPIRES_AT, or never.
local session = current()
if not session then
  return finish(false)
end
if EXPIRES_AT ~= "" then
  session.expires = EXPIRES_AT
  redis.call("HSET", SESSION, "expires", EXPIRES_AT)
else
  session.expires = nil
  redis.call("HDEL", SESSION, "expires")
  redis.call("PERSIST", SESSION)
  redis.call("PERSIST", ITEMS)
  redis.call("PERSIST", TEXTS)
  redis.call("PERSIST", TURNS)
end
set_expiry(session)
return finish("")
