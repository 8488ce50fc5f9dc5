-- Prints the run as one line of JSON. Has no request() and no response(): wrk then formats the
-- request once and does not look at the answers' fields, and so costs the least.
-- Arguments: method, body bytes, "one" or "browser" fields, or "many" for another host and path each time,
-- requests after which to stop (0: never).

local stop_after, answered

local browser = {
  ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
  ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
  ["Accept-Language"] = "de-DE,de;q=0.8,en-US;q=0.5,en;q=0.3",
  ["Accept-Encoding"] = "gzip, deflate, br, zstd",
  ["Referer"] = "http://127.0.0.1/index.html",
  ["Cookie"] = "session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; consent=necessary",
  ["Upgrade-Insecure-Requests"] = "1",
  ["Sec-Fetch-Dest"] = "document",
  ["Sec-Fetch-Mode"] = "navigate",
  ["Sec-Fetch-Site"] = "same-origin",
  ["Priority"] = "u=0, i",
}

function init(args)
  wrk.method = args[1]
  local bytes = tonumber(args[2])
  if bytes > 0 then wrk.body = string.rep("x", bytes) end
  if args[3] == "browser" then
    for name, value in pairs(browser) do wrk.headers[name] = value end
  end
  if args[3] == "many" then
    -- Made before the first is sent, so that asking costs no more than choosing.
    local requests, turn = {}, 0
    for number = 0, 9999 do
      wrk.headers["Host"] = "h" .. number .. ".test"
      requests[number] = wrk.format(nil, "/p" .. number % 1000 .. "/page")
    end
    request = function()
      -- Neighbours in time are none in any table.
      turn = (turn + 3797) % 10000
      return requests[turn]
    end
  end
  stop_after = tonumber(args[4])
  answered = 0
  if stop_after > 0 then
    response = function()
      answered = answered + 1
      if answered == stop_after then
        wrk.thread:stop()
        -- wrk itself sleeps to the end of its time unless it is interrupted.
        io.write("ENOUGH\n")
        io.flush()
      end
    end
  end
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "micros": %d, "bytes": %d, "p50": %d, "p99": %d, "max": %d, ' ..
    '"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}\n',
    summary.requests, summary.duration, summary.bytes,
    latency:percentile(50), latency:percentile(99), latency.max,
    e.connect, e.read, e.write, e.status, e.timeout))
end
