-- Prolongs a session that is read. If the server refuses writes, as a replica does, it stays as it is.
--
-- KEYS: the hash of the session, its lists of items, of words and of turns, and the index of the shard by
-- expiry. ARGV: the name of the session, the time, the new expires_at, and the latest that it replaces.
local NAME, NOW, EXPIRES_AT, DUE = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local row = redis.call("HMGET", KEYS[1], "key", "expires", "owner")
local expires = row[2] and tonumber(row[2])
if not row[1] or not expires or expires <= NOW or expires > DUE then
  return 0
end
local commands = {}
for place = 1, 4 do
  commands[place] = {"PEXPIRE", KEYS[place], lifetime(tonumber(EXPIRES_AT), NOW)}
end
commands[5] = {"ZADD", KEYS[5], EXPIRES_AT, expiry_entry(NAME, row[3] or "")}
commands[6] = {"HSET", KEYS[1], "expires", EXPIRES_AT}
for _, command in ipairs(commands) do
  local answer = redis.pcall(unpack(command))
  if type(answer) == "table" and answer.err then
    return 0
  end
end
return 1
