-- Arguments: a file with one key per line, and the caller's own key. Each request asks about the next key.
local requests, next_request = {}, 0

function init(arguments)
  local headers = { ["Authorization"] = "Bearer " .. arguments[2], ["Content-Type"] = "application/json" }
  for key in io.lines(arguments[1]) do
    local body = '{"key":"' .. key .. '","permissions":["prompts:read"]}'
    requests[#requests + 1] = wrk.format("POST", nil, headers, body)
  end
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end
