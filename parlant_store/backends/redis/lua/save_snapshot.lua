-- ARGV: the owner or "", the state, the revision's key or "" to replace all items, its next position
-- and item count, the number of items to delete at the start and to keep after them, and the items.
-- Returns the new revision, or false.
local TIME = "^%d*(@%-?%x+)"
local owner, state, key, next_position, count, drop, keep = unpack(ARGV, 6, 12)
local session = current()
if key == "" then
  session = session or create()
  set_owner(session, owner)
  delete_items(session)
else
  local is_same = session and session.key == tonumber(key)
  if not (is_same and session.next == tonumber(next_position) and session.count == tonumber(count)) then
    return finish(false)
  end
  set_owner(session, owner)
  drop, keep = tonumber(drop), tonumber(keep)
  if keep == 0 then
    delete_items(session)
  elseif drop + keep < session.count or drop > 0 then
    local deleted = drop > 0 and redis.call("LRANGE", TEXTS, 0, drop - 1) or {}
    local time
    for _, text in ipairs(deleted) do
      session.tokens = session.tokens - tokens_of(text)
      time = string.match(text, TIME) or time
    end
    for _, text in ipairs(redis.call("LRANGE", TEXTS, drop + keep, -1)) do
      session.tokens = session.tokens - tokens_of(text)
    end
    redis.call("LTRIM", ITEMS, drop, drop + keep - 1)
    redis.call("LTRIM", TEXTS, drop, drop + keep - 1)
    local first = time and redis.call("LINDEX", TEXTS, 0)
    if first and not string.match(first, TIME) then
      redis.call("LSET", TEXTS, 0, string.match(first, "^%d*") .. time .. string.match(first, "^%d*(.*)"))
    end
    session.count = keep
  end
end
append(session, 13)
set(session, "state", state)
save(session)
return finish(number(session.key) .. " " .. number(session.next) .. " " .. number(session.count))
