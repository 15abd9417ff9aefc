-- ARGV: 0 without a source, 1, or 2 if it replaces no session; of the source its owner, metadata,
-- state, tokens, next position and expires_at or "", its first place, the number of its last turn,
-- its usage and that of turn 0, its id, the position of the last item or "", the buckets of its
-- words and of those of tools, the number of its items, and its items, words and turns.
if ARGV[6] == "0" then
  return false
end
local owner, metadata, state, tokens, next_position, expires = unpack(ARGV, 7, 12)
local first, turns, usage, usage_0, parent, parent_position = unpack(ARGV, 13, 18)
check_indexes()
local session = read(true)
if session and ARGV[6] == "2" and not is_due(session.expires) then
  return 3
end
if session then
  remove(session)
end
session = create()
set_owner(session, owner)
if expires ~= "" then
  set(session, "expires", expires)
end
local count = tonumber(ARGV[21])
push(ITEMS, ARGV, 22, count)
push(TEXTS, ARGV, 22 + count, count)
push(TURNS, ARGV, 22 + 2 * count, #ARGV - 21 - 2 * count)
session.count, session.next, session.tokens = count, tonumber(next_position), tonumber(tokens)
add_words(session, WORDS, "buckets", ARGV[19])
add_words(session, TOOLS, "tool_buckets", ARGV[20])
for field, value in pairs({
  metadata = metadata, state = state, first = first, turns = turns, usage = usage, usage_0 = usage_0,
  parent = parent, parent_position = parent_position,
}) do
  set(session, field, value)
end
add_branch(parent)
save(session)
return finish(number(count))
