local session = current()
if session then
  delete_items(session)
  save(session)
end
return finish("")
