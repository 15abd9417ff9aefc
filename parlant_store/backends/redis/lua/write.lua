-- What every write does, after expiry.lua. The operation follows in the same script, after other files
-- that it needs.
--
-- KEYS: the answer of the request, the hash of the session, its lists of items, of words and of turns,
-- and the indexes of the shard. ARGV: the name of the session, the time, the id of the request, the
-- milliseconds for which its answer is stored, the new expires_at or "", and those of the operation.
-- Times are microseconds since 1970.

local REQUEST, SESSION, ITEMS, TEXTS, TURNS, NAMES, OWNERS, CREATED, EXPIRES, WORDS, TOOLS, BRANCHES = unpack(KEYS)
local NAME, NOW, REQUEST_ID, REQUEST_MS, EXPIRES_AT = unpack(ARGV, 1, 5)
NOW = tonumber(NOW)

local MAX_CLEANED = 20
local ID_BYTES = 7
local MAX_POSTING = 4096

local function number(value)
  return string.format("%.0f", value)
end

-- The types of all keys are checked before anything is written.
local STORED = redis.call("GET", REQUEST)
local ROW = redis.call("HMGET", SESSION, "key", "next", "tokens", "owner", "created", "expires", "metadata", "buckets",
  "tool_buckets", "first", "turns")
local COUNT = redis.call("LLEN", ITEMS)
redis.call("LLEN", TEXTS)
redis.call("LLEN", TURNS)
redis.call("HLEN", WORDS)
redis.call("HLEN", TOOLS)
local LISTED = tonumber(redis.call("ZSCORE", UPDATED, NAME))
redis.call("ZCARD", ACTIVITY)
local DUE = redis.call("ZRANGEBYSCORE", EXPIRES, "-inf", number(NOW - MARGIN), "LIMIT", 0, MAX_CLEANED)
local function check_indexes()
  for _, index in ipairs({NAMES, OWNERS, CREATED, BRANCHES}) do
    redis.call("ZCARD", index)
  end
end
if not ROW[1] or ROW[6] or #DUE > 0 then
  check_indexes()
end

local function whole(value)
  return value and string.match(value, "^%-?%d+$") and tonumber(value)
end

local function is_due(expires)
  return expires and (whole(expires) or 0) <= NOW
end

-- An entry of OWNERS is an owner and a name.
local function remove_owner(name, owner)
  if owner ~= "" then
    redis.call("ZREM", OWNERS, owner .. "\0" .. name)
  end
end

-- Entries of BRANCHES: "<", the namespace, the parent and the branch, with NUL between them; and ">",
-- the namespace, the branch and the parent.
local function branch_entries(name, parent)
  local namespace, branch = string.match(name, "^(%Z*%z)(%Z*)$")
  return "<" .. namespace .. parent .. "\0" .. branch, ">" .. name .. "\0" .. parent
end

local function add_branch(parent)
  for _, entry in ipairs({branch_entries(NAME, parent)}) do
    redis.call("ZADD", BRANCHES, 0, entry)
  end
end

local function remove_branch(name)
  local start = ">" .. name .. "\0"
  for _, entry in ipairs(redis.call("ZRANGEBYLEX", BRANCHES, "[" .. start, "(" .. start .. "\255")) do
    redis.call("ZREM", BRANCHES, branch_entries(name, string.sub(entry, #start + 1)))
  end
end

-- Remove from the indexes what the server has expired. A later session may have the same name.
local function clean()
  for _, entry in ipairs(DUE) do
    local name, owner = string.match(entry, "^(%Z*%z%Z*)%z(%Z*)$")
    local row = {}
    if name then
      row = redis.pcall("HMGET", string.sub(SESSION, 1, #SESSION - #NAME) .. name, "key", "expires", "owner")
    end
    if row.err then
      return
    end
    redis.call("ZREM", EXPIRES, entry)
    if name and row[1] and not (row[2] and (whole(row[2]) or 0) <= NOW - MARGIN) then
      if row[3] ~= owner then
        remove_owner(name, owner)
      end
    elseif name then
      redis.call("ZREM", NAMES, name)
      redis.call("ZREM", CREATED, name)
      remove_activity(name, owner)
      remove_owner(name, owner)
      remove_branch(name)
    end
  end
end

-- Store the answer, text or false, and return it.
local function finish(answer)
  clean()
  redis.call("SET", REQUEST, REQUEST_ID .. (answer and "+" .. answer or "-"), "PX", REQUEST_MS)
  return answer
end

-- Return whether the request was made before, and its answer.
local function repeated()
  if not STORED or string.sub(STORED, 1, #REQUEST_ID) ~= REQUEST_ID then
    return false
  end
  -- A write, so that WAIT waits for the first one too.
  redis.call("PEXPIRE", REQUEST, redis.call("PTTL", REQUEST))
  if string.sub(STORED, #REQUEST_ID + 1, #REQUEST_ID + 1) == "-" then
    return true, false
  end
  return true, string.sub(STORED, #REQUEST_ID + 2)
end

-- Set a field of the session, which save() stores.
local function set(session, field, value)
  session[field] = value
  session.changes[#session.changes + 1] = field
  session.changes[#session.changes + 1] = value
end

-- WORDS and TOOLS: for each bucket of words, the keys of the sessions that have some, seven bytes each.

local function with_session(posting, key)
  local kept = {}
  for start = 1, #posting, ID_BYTES do
    local id = string.sub(posting, start, start + ID_BYTES - 1)
    local value = number(struct.unpack(">I7", id))
    if id ~= key and redis.call("ZCOUNT", CREATED, value, value) > 0 then
      kept[#kept + 1] = id
    end
  end
  return kept
end

local function add_posting(index, bucket, key)
  local posting = redis.call("HGET", index, bucket) or ""
  local count = #posting / ID_BYTES + 1
  -- At each power of two, so that the sessions that no longer exist are at most half of it.
  if count >= MAX_POSTING or (count >= 8 and math.frexp(count) == 0.5) then
    local kept = with_session(posting, key)
    local first = math.max(1, #kept - MAX_POSTING * 3 / 4)
    posting = table.concat(kept, "", count >= MAX_POSTING and first or 1)
  end
  redis.call("HSET", index, bucket, posting .. key)
end

local function remove_posting(index, bucket, key)
  local posting = redis.call("HGET", index, bucket)
  for start = 1, posting and #posting or 0, ID_BYTES do
    if string.sub(posting, start, start + ID_BYTES - 1) == key then
      posting = string.sub(posting, 1, start - 1) .. string.sub(posting, start + ID_BYTES)
      if posting == "" then
        redis.call("HDEL", index, bucket)
      else
        redis.call("HSET", index, bucket, posting)
      end
      return
    end
  end
end

-- Add the session to the given buckets of an index, three bytes each: the place of a byte of the field,
-- and its bit that says whether the session is in the bucket.
local function add_words(session, index, field, buckets)
  local stored, bytes = session[field], nil
  local key = struct.pack(">I7", session.key)
  for start = 1, #buckets, 3 do
    local high, low, mask = string.byte(buckets, start, start + 2)
    local place = high * 256 + low
    local byte = bytes and (bytes[place] or 0) or string.byte(stored, place) or 0
    if bit.band(byte, mask) == 0 then
      bytes = bytes or {string.byte(stored, 1, -1)}
      for missing = #bytes + 1, place do
        bytes[missing] = 0
      end
      bytes[place] = bit.bor(byte, mask)
      add_posting(index, string.sub(buckets, start, start + 2), key)
    end
  end
  if bytes then
    set(session, field, string.char(unpack(bytes)))
  end
end

local function remove_words(session, index, buckets)
  local key = struct.pack(">I7", session.key)
  for place = 1, #buckets do
    local byte = string.byte(buckets, place)
    for digit = 0, byte > 0 and 7 or -1 do
      if bit.band(byte, 2 ^ digit) ~= 0 then
        remove_posting(index, struct.pack(">HB", place, 2 ^ digit), key)
      end
    end
  end
end

local function remove(session)
  remove_words(session, WORDS, session.buckets)
  remove_words(session, TOOLS, session.tool_buckets)
  redis.call("DEL", SESSION, ITEMS, TEXTS, TURNS)
  redis.call("ZREM", NAMES, NAME)
  redis.call("ZREM", CREATED, NAME)
  remove_activity(NAME, session.owner)
  remove_branch(NAME)
  redis.call("ZREM", EXPIRES, expiry_entry(NAME, session.owner))
  remove_owner(NAME, session.owner)
end

-- Return the session with this name, expired or not, or nil. One that is damaged can only be removed.
-- The turns of a session of an earlier version of this store are nil until they are numbered.
local function read(is_removed)
  if not ROW[1] then
    return nil
  end
  local session = {
    key = whole(ROW[1]), next = whole(ROW[2]), tokens = whole(ROW[3]), owner = ROW[4] or "",
    created = ROW[5], expires = ROW[6], metadata = ROW[7] or "", buckets = ROW[8] or "",
    tool_buckets = ROW[9] or "", first = whole(ROW[10]), turns = whole(ROW[11]), count = COUNT, changes = {},
  }
  if session.key and session.next and session.tokens and whole(session.created)
      and (not session.expires or whole(session.expires)) then
    if not session.turns and COUNT == 0 then
      set(session, "turns", 0)
    end
    session.first = session.turns and (session.first or 0) or session.next - COUNT
    return session
  elseif is_removed then
    session.key, session.buckets, session.tool_buckets = 0, "", ""
    return session
  end
  error("damaged session")
end

-- Return the session, or nil; one that has expired is removed.
local function current()
  local session = read()
  if session and is_due(session.expires) then
    remove(session)
    return nil
  end
  return session
end

-- Return a new session, which save() stores. Its key is the time of the server, which is unique.
local function create()
  redis.call("DEL", SESSION, ITEMS, TEXTS, TURNS)
  remove_branch(NAME)
  local time = redis.call("TIME")
  local key = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local last = redis.call("ZRANGE", CREATED, -1, -1, "WITHSCORES")
  if last[2] and tonumber(last[2]) >= key then
    key = tonumber(last[2]) + 1
  end
  redis.call("ZADD", NAMES, 0, NAME)
  redis.call("ZADD", CREATED, key, NAME)
  return {
    key = key, next = 0, tokens = 0, owner = "", metadata = "", buckets = "", tool_buckets = "",
    count = 0, first = 0, turns = 0, changes = {"key", key, "owner", "", "created", NOW, "turns", 0},
  }
end

local function set_owner(session, owner)
  if session.owner == "" and owner ~= "" then
    redis.call("ZADD", OWNERS, 0, owner .. "\0" .. NAME)
    redis.call("ZREM", EXPIRES, expiry_entry(NAME, ""))
    set(session, "owner", owner)
  end
end

-- Set when the session and its keys expire.
local function set_expiry(session)
  local entry = expiry_entry(NAME, session.owner)
  if session.expires then
    local ms = lifetime(tonumber(session.expires), NOW)
    redis.call("ZADD", EXPIRES, session.expires, entry)
    redis.call("PEXPIRE", SESSION, ms)
    redis.call("PEXPIRE", ITEMS, ms)
    redis.call("PEXPIRE", TEXTS, ms)
    if session.turns ~= 0 then
      redis.call("PEXPIRE", TURNS, ms)
    end
  elseif ROW[6] or not ROW[1] then
    redis.call("ZREM", EXPIRES, entry)
  end
end

-- Store the session, which is written now.
local function save(session)
  if EXPIRES_AT ~= "" then
    set(session, "expires", EXPIRES_AT)
  end
  redis.call("HSET", SESSION, "next", session.next, "count", session.count, "tokens", session.tokens,
    "updated", NOW, unpack(session.changes))
  remove_entries(NAME, ROW[4] or "", LISTED)
  add_activity(NAME, session.owner, session.updated or NOW)
  set_expiry(session)
end

local done, answer = repeated()
if done then
  return answer
end

