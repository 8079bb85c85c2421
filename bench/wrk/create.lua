-- Arguments: the caller's own key, and a word that makes the names of this run distinct. Each request creates a key.
local headers, word, created = {}, "", 0

function init(arguments)
  headers = { ["Authorization"] = "Bearer " .. arguments[1], ["Content-Type"] = "application/json" }
  word = arguments[2]
end

function request()
  created = created + 1
  local body = string.format(
    '{"name":"%s-%07d","environment":"production","purpose":"Main website customer support",' ..
    '"metadata":{"customer":"%049d"}}', word, created, created)
  return wrk.format("POST", nil, headers, body)
end
