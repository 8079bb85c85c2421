-- Arguments: a file with one key per line. Each request carries the next key as its Bearer token.
local requests, next_request = {}, 0

function init(arguments)
  for key in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("GET", nil, { ["Authorization"] = "Bearer " .. key })
  end
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end
