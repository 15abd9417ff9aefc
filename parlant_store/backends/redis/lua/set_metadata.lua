-- ARGV: whether the metadata are merged, and keys and values in turns. They are stored as lines.
local session = current() or create()
local lines, places = {}, {}
local function put(key, value)
  places[key] = places[key] or #lines + 1
  lines[places[key]] = key .. "\n" .. value
end
if ARGV[6] == "1" then
  for key, value in string.gmatch(session.metadata, "([^\n]+)\n([^\n]+)") do
    put(key, value)
  end
end
for place = 7, #ARGV, 2 do
  put(ARGV[place], ARGV[place + 1])
end
local metadata = table.concat(lines, "\n")
set(session, "metadata", metadata)
save(session)
return finish(metadata)
