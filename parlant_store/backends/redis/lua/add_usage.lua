-- ARGV: the tokens to add.
local session = current()
if not session then
  return finish(false)
end
redis.call("HSET", SESSION, "tokens", number(session.tokens + tonumber(ARGV[6])))
return finish("")
