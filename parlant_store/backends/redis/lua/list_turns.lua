-- ARGV: the number of turns, that of the turn after which they start, or "", and whether the newest is
-- the first. Returns for each its number, its position, the number of its items, its usage, its time and its
-- first item, none for turn 0.
local limit, after, is_newest_first = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == "1"
local count, first = redis.call("LLEN", TURNS), turn_at(0)
-- Turn 0 has the index -1.
local least = session.count > 0 and not (first and first.place == session.first) and -1 or 0
local last = first and after and after - first.number
local from, to
if is_newest_first then
  to = math.min(count - 1, last and last - 1 or count - 1)
  if after then
    to = math.max(to, after > 0 and -1 or -2)
  end
  from = math.max(least, to - limit + 1)
else
  from = math.max(after and 0 or least, last and last + 1 or least)
  to = math.min(count - 1, from + limit - 1)
end
local rows = {}
local following = to + 1 < count and turn_at(to + 1)
local limit_of_place = following and following.place or session.first + session.count
for index = to, from, -1 do
  local turn = {place = session.first, position = session.first, number = 0, time = "", usage = session.usage_0}
  if index >= 0 then
    turn = turn_at(index)
  else
    turn.time = string.match(redis.call("LINDEX", TEXTS, 0) or "", "^%d*@(%-?%x+)") or ""
  end
  rows[#rows + 1] = {
    turn.number, turn.position, limit_of_place - turn.place, turn.usage, turn.time,
    index >= 0 and redis.call("LINDEX", ITEMS, turn.place - session.first) or "",
  }
  limit_of_place = turn.place
end
if not is_newest_first then
  for row = 1, #rows / 2 do
    rows[row], rows[#rows + 1 - row] = rows[#rows + 1 - row], rows[row]
  end
end
return rows
