-- ARGV: whether there is a source, and its owner, metadata, state, tokens, next position and expires_at
-- or "", the buckets of its words and of those of tools, the number of its items, and its items and words.
if ARGV[6] == "0" then
  return false
end
local owner, metadata, state, tokens, next_position, expires = unpack(ARGV, 7, 12)
redis.call("ZCARD", NAMES)
redis.call("ZCARD", OWNERS)
redis.call("ZCARD", CREATED)
local session = read(true)
if session then
  remove(session)
end
session = create()
set_owner(session, owner)
if expires ~= "" then
  set(session, "expires", expires)
end
local count = tonumber(ARGV[15])
push(ITEMS, 16, count)
push(TEXTS, 16 + count, count)
session.count, session.next, session.tokens = count, tonumber(next_position), tonumber(tokens)
add_words(session, WORDS, "buckets", ARGV[13])
add_words(session, TOOLS, "tool_buckets", ARGV[14])
set(session, "metadata", metadata)
set(session, "state", state)
save(session)
return finish(number(count))
