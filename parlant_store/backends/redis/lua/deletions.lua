-- Deleting some items of a session, with their turns.

-- Whether a session is as it was at a revision.
local function is_revision(session, key, next_position, count)
  return session.key == tonumber(key) and session.next == tonumber(next_position)
    and session.count == tonumber(count)
end

-- An entry of TEXTS is the tokens of the item, if it has any; after "@" its time, unless the item before it
-- has the same; its words, each after a space; and after " \31" those of tools.
local function remove_tokens(session, texts)
  for _, text in ipairs(texts) do
    session.tokens = session.tokens - (tonumber(string.match(text, "^%d+")) or 0)
  end
end

-- Move the usage of turn 0 to the list ``removed``.
local function take_usage_0(session, removed)
  read_usage(session)
  if session.usage_0 ~= "" then
    removed[#removed + 1] = session.usage_0
    set(session, "usage_0", "")
  end
end

-- Forget the turns from the last one on that start at an index or after it.
local function close_turns(session, index)
  local removed = {}
  if index == 0 then
    take_usage_0(session, removed)
  end
  local turn = session.turns and turn_at(-1)
  while turn and turn.place >= session.first + index do
    redis.call("RPOP", TURNS)
    set(session, "turns", turn.number - 1)
    removed[#removed + 1] = turn.usage ~= "" and turn.usage or nil
    turn = turn_at(-1)
  end
  change_usage(session, "", removed)
end

-- Delete the items from an index on.
local function delete_tail(session, index)
  if index >= session.count then
    return
  end
  remove_tokens(session, redis.call("LRANGE", TEXTS, index, -1))
  if index == 0 then
    redis.call("DEL", ITEMS, TEXTS)
  else
    redis.call("LTRIM", ITEMS, 0, index - 1)
    redis.call("LTRIM", TEXTS, 0, index - 1)
  end
  session.count = index
  close_turns(session, index)
end

-- Give the first item the time of the last of deleted ones, whose entries are given, if it has none.
local function keep_time(texts)
  local TIME = "^%d*(@%-?%x+)"
  local first = redis.call("LINDEX", TEXTS, 0)
  for place = #texts, first and not string.match(first, TIME) and 1 or #texts + 1, -1 do
    local time = string.match(texts[place], TIME)
    if time then
      local tokens, words = string.match(first, "^(%d*)(.*)$")
      redis.call("LSET", TEXTS, 0, tokens .. time .. words)
      return
    end
  end
end

-- Delete a number of items at the start.
local function delete_head(session, count)
  if count == 0 then
    return
  end
  local texts = redis.call("LRANGE", TEXTS, 0, count - 1)
  remove_tokens(session, texts)
  redis.call("LTRIM", ITEMS, count, -1)
  redis.call("LTRIM", TEXTS, count, -1)
  session.count = session.count - count
  set(session, "first", session.first + count)
  keep_time(texts)
  local removed = {}
  take_usage_0(session, removed)
  local turn = session.turns and turn_at(0)
  while turn and turn.place < session.first do
    redis.call("LPOP", TURNS)
    removed[#removed + 1] = turn.usage ~= "" and turn.usage or nil
    turn = turn_at(0)
  end
  change_usage(session, "", removed)
end

