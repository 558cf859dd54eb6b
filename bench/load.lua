-- What wrk sends, and its result as one line of JSON (times in microseconds). Headers are lines of `name: value`.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
for name, value in string.gmatch(os.getenv("BENCH_HEADERS"), "([%w-]+): ([^\n]+)") do
  wrk.headers[name] = value
end
wrk.body = os.getenv("BENCH_BODY")

function done(summary, latency, _requests)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"calls":%d,"micros":%d,"p50":%d,"p99":%d,"failed":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
