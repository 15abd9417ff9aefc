-- Appending items, and deleting all.

local function push(list, values, first, count)
  for start = first, first + count - 1, 1000 do
    redis.call("RPUSH", list, unpack(values, start, math.min(start + 999, first + count - 1)))
  end
end

-- Number the turns that items open, whose offsets and times are given; the first item has a place and a
-- position. Usage, if it is given, is by numbers of turns.
local function open_turns(session, offsets, place, position, usage)
  local entries = {}
  for offset, time in string.gmatch(offsets, "(%d+)@(%S+)") do
    session.turns = session.turns + 1
    local entry = {number(place + offset), number(position + offset), number(session.turns), time}
    entry[5] = usage and usage[session.turns]
    entries[#entries + 1] = table.concat(entry, " ")
  end
  push(TURNS, entries, 1, #entries)
end

-- Append items: from ARGV[first] on, their tokens, their buckets in both indexes, the turns that they open,
-- their number, and the two lists. Usage, if it is given, is by numbers of turns.
local function append(session, first, usage)
  local count = tonumber(ARGV[first + 4])
  if session.count == 0 and session.first ~= session.next then
    set(session, "first", session.next)
  end
  if session.turns and ARGV[first + 3] ~= "" then
    open_turns(session, ARGV[first + 3], session.first + session.count, session.next, usage)
    set(session, "turns", session.turns)
  end
  push(ITEMS, ARGV, first + 5, count)
  push(TEXTS, ARGV, first + 5 + count, count)
  session.next = session.next + count
  session.count = session.count + count
  session.tokens = session.tokens + tonumber(ARGV[first])
  add_words(session, WORDS, "buckets", ARGV[first + 1])
  add_words(session, TOOLS, "tool_buckets", ARGV[first + 2])
end

local function delete_items(session)
  redis.call("DEL", ITEMS, TEXTS, TURNS)
  session.count, session.tokens = 0, 0
  set(session, "turns", 0)
  set(session, "usage", "")
  set(session, "usage_0", "")
end

