-- Turns of a session: for each message of a user, TURNS has its place, its position, the number and
-- the time of the turn, and the usage of the turn, if it has any. Places count all items that the session had at its
-- start: session.first is that of the first item. Positions are places, until the end of the session is
-- deleted: then the next turn starts at the next position, and its items follow.

local function turn_at(index)
  local entry = redis.call("LINDEX", TURNS, index)
  if not entry then
    return nil
  end
  local place, position, number, time, usage = string.match(entry, "^(%d+) (%d+) (%d+) (%S+) ?(.*)$")
  if not place then
    error("damaged session")
  end
  return {
    index = index, place = tonumber(place), position = tonumber(position), number = tonumber(number), time = time,
    usage = usage,
  }
end

local function turn_numbered(session, number)
  local first = number <= session.turns and turn_at(0)
  return first and number >= first.number and turn_at(string.format("%.0f", number - first.number)) or nil
end

-- Return the index of the item at a position, or of the next one; nil if the position is beyond the end.
local function index_at(session, position)
  if position >= session.next then
    return position == session.next and session.count or nil
  end
  local before, following = -1, session.first + session.count
  local turn = turn_at(before)
  while turn and turn.position > position do
    before, following = before - 1, turn.place
    turn = turn_at(before)
  end
  local place = position
  if turn then
    place = turn.place + position - turn.position
  end
  return math.max(0, math.min(place, following) - session.first)
end

-- Return the index of the item with which a turn or a position starts, both text or ""; nil if there is
-- none. Without both, it is the end.
local function start_of(session, turn, position)
  if turn == "" then
    return position == "" and session.count or index_at(session, tonumber(position))
  elseif turn == "0" then
    return 0
  end
  local found = turn_numbered(session, tonumber(turn))
  return found and found.place - session.first
end

