-- Requests for wrk: every body of a folder in turn, each formatted once. The answer's times come out as one line of JSON.
local requests = {}

function init(args)
  local headers = {["Content-Type"] = os.getenv("BENCH_CONTENT_TYPE"), ["Host"] = "127.0.0.1"}
  for name in io.lines(os.getenv("BENCH_BODIES") .. "/list") do
    local file = io.open(os.getenv("BENCH_BODIES") .. "/" .. name, "rb")
    requests[#requests + 1] = wrk.format("POST", os.getenv("BENCH_PATH"), headers, file:read("*a"))
    file:close()
  end
end

local index = 0
function request()
  index = index % #requests + 1
  return requests[index]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "microseconds": %d, "p50": %.1f, "p95": %.1f, "p99": %.1f, "most": %.1f, ' ..
    '"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(95), latency:percentile(99),
    latency.max, errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
