-- Arguments: a file with a key, a workspace and a prompt per line, and `get` or `list`.
local requests, next_request = {}, 0

function init(arguments)
  for line in io.lines(arguments[1]) do
    local key, workspace, prompt = line:match("(%S+) (%S+) (%S+)")
    local headers = { ["Authorization"] = "Bearer " .. key, ["Content-Type"] = "application/json" }
    if arguments[2] == "get" then
      local body = '{"package_name":"@' .. workspace .. "/" .. prompt .. ':v1"}'
      requests[#requests + 1] = wrk.format("POST", "/v1/prompts/get", headers, body)
    else
      requests[#requests + 1] = wrk.format("GET", "/v1/prompts?limit=20", headers)
    end
  end
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end
