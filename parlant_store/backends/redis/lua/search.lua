-- KEYS: the creation index of a shard, and the indexes of words to search. ARGV: the beginning of the keys
-- of sessions and of their words, the time, the beginning of the names, the number of sessions to return,
-- and for each term its text and its buckets. Returns for each session its name, its score, and the places of its best items.
local sessions, lists, now, start, limit = unpack(ARGV, 1, 5)
now, limit = tonumber(now), tonumber(limit)
local ID_BYTES, MAX_SESSIONS, MAX_TEXTS, MAX_MATCHES, MAX_SNIPPETS = 7, 1000, 20000, 100, 5

local function posting_of(index, bucket)
  local ids = {}
  local posting = redis.call("HGET", index, bucket) or ""
  for place = 1, #posting, ID_BYTES do
    ids[string.sub(posting, place, place + ID_BYTES - 1)] = true
  end
  return ids
end

local terms, found = {}, {}
for place = 6, #ARGV, 2 do
  terms[#terms + 1] = " " .. ARGV[place]
  for number = 2, #KEYS do
    local ids
    for byte = 1, #ARGV[place + 1], 3 do
      local others = posting_of(KEYS[number], string.sub(ARGV[place + 1], byte, byte + 2))
      if ids then
        for id in pairs(ids) do
          ids[id] = others[id]
        end
      else
        ids = others
      end
    end
    for id in pairs(ids) do
      found[id] = true
    end
  end
end
local newest = {}
for id in pairs(found) do
  newest[#newest + 1] = id
end
table.sort(newest, function(one, other) return one > other end)

local function count(text)
  local tools = #KEYS == 2 and string.find(text, "\31", 1, true)
  if tools then
    text = string.sub(text, 1, tools - 1)
  end
  local total = 0
  for _, term in ipairs(terms) do
    local place = string.find(text, term, 1, true)
    while place and total < MAX_MATCHES do
      total = total + 1
      place = string.find(text, term, place + 1, true)
    end
  end
  return total
end

local function is_better(one, other)
  for place = 1, 2 do
    if one[place] ~= other[place] then
      return one[place] > other[place] == (place == 1)
    end
  end
  return #one > 3 and one[4] < other[4]
end

local results, texts_left = {}, MAX_TEXTS
for number = 1, math.min(#newest, MAX_SESSIONS) do
  local key = string.format("%.0f", struct.unpack(">I7", newest[number]))
  local name = redis.call("ZRANGEBYSCORE", KEYS[1], key, key)[1]
  if name and string.sub(name, 1, #start) == start and texts_left > 0 then
    local row = redis.call("HMGET", sessions .. name, "key", "expires")
    if row[1] == key and not (row[2] and (tonumber(row[2]) or 0) <= now) then
      local texts = redis.call("LRANGE", lists .. name, -texts_left, -1)
      local score, items = 0, {}
      for place, text in ipairs(texts) do
        local matches = count(text)
        if matches > 0 then
          score = score + matches
          items[#items + 1] = {matches, place - #texts - 1}
        end
      end
      texts_left = texts_left - #texts
      if score > 0 then
        table.sort(items, is_better)
        local separator = string.find(name, "\0", 1, true)
        results[#results + 1] = {score, string.sub(name, separator + 1), items, name}
      end
    end
  end
end
table.sort(results, is_better)
local rows = {}
for place = 1, math.min(#results, limit) do
  local score, _, items, name = unpack(results[place])
  local places = {}
  for item = 1, math.min(#items, MAX_SNIPPETS) do
    places[item] = items[item][2]
  end
  rows[place] = {name, score, places}
end
return rows
