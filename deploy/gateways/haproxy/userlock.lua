-- Asks userlock whether the bearer of the request's token may act now.
local GATEWAY_TOKEN = assert(os.getenv("USERLOCK_AUTHZ_TOKEN"), "USERLOCK_AUTHZ_TOKEN is not set")
-- The name of the cookie with the token, and the login page for browsers.
local URL = "http://userlock/authz?cookie=__Host-session&redirect=https://login.example.com/"
-- The frontend "authz" of haproxy.cfg.
local ADDRESS = "abns@userlock-authz"
-- More than the backend "userlock" takes, because the HTTP client asks again after its own timeout.
local TIMEOUT_MS = 3000
local IDENTITY = {
  "x-auth-request-user",
  "x-auth-request-preferred-username",
  "x-auth-request-email",
  "x-userlock-session",
  "x-userlock-expires",
  "remote-user",
}
-- Answers of userlock that are for the client, with the headers that go along.
local FOR_CLIENT = { [302] = "Found", [401] = "Unauthorized", [403] = "Forbidden" }
local PASSED_ON = { "www-authenticate", "location", "content-type", "cache-control", "x-request-id" }

local function first(headers, name)
  local values = headers[name]
  return values and (values[0] or values[1])
end

local function ask(txn)
  local given = txn.http:req_get_headers()
  local headers = {
    ["x-userlock-gateway"] = { GATEWAY_TOKEN },
    ["x-original-method"] = { txn.f:method() },
    ["x-original-url"] = { "https://" .. (first(given, "host") or "") .. txn.f:pathq() },
  }
  for _, name in ipairs({ "authorization", "accept", "x-request-id", "traceparent" }) do
    local value = first(given, name)
    if value then headers[name] = { value } end
  end
  if given.cookie then
    -- HTTP/2 clients may send each cookie in a header of its own.
    local cookies = {}
    for at = 0, #given.cookie do cookies[#cookies + 1] = given.cookie[at] end
    headers.cookie = { table.concat(cookies, "; ") }
  end
  return core.httpclient():get({ url = URL, dst = ADDRESS, headers = headers, timeout = TIMEOUT_MS })
end

core.register_action("userlock", { "http-req" }, function(txn)
  local answer = ask(txn)
  if not answer then return end
  if answer.status == 200 then
    for _, name in ipairs(IDENTITY) do
      local value = first(answer.headers, name)
      if value and value ~= "" then txn.http:req_set_header(name, value) end
    end
    txn:set_var("txn.userlock", "passed")
  elseif FOR_CLIENT[answer.status] then
    local reply = txn:reply()
    reply:set_status(answer.status, FOR_CLIENT[answer.status])
    for _, name in ipairs(PASSED_ON) do
      local value = first(answer.headers, name)
      if value then reply:add_header(name, value) end
    end
    reply:set_body(answer.body or "")
    txn:done(reply)
  end
end, 0)
