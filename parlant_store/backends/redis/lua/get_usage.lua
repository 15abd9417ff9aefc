-- Returns numbers of turns and their usage, in turns.
local rows = {}
if session.usage_0 ~= "" then
  rows = {0, session.usage_0}
end
for start = 0, redis.call("LLEN", TURNS) - 1, 1000 do
  for _, entry in ipairs(redis.call("LRANGE", TURNS, start, start + 999)) do
    local turn, usage = string.match(entry, "^%d+ %d+ (%d+) %S+ (.+)$")
    if turn then
      rows[#rows + 1] = tonumber(turn)
      rows[#rows + 1] = usage
    end
  end
end
return rows
