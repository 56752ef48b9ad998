-- One chat completion again and again; KEY, STREAM and ACT (how the stand-in is to behave) come from the environment.
-- The last line is for compare.py.
local stream = os.getenv("STREAM") == "1"
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer " .. (os.getenv("KEY") or "sk-none")
local act = os.getenv("ACT") or ""
if act ~= "" then
  wrk.headers["x-stand-in"] = act
end
wrk.body = '{"model":"qwen-plus","messages":[{"role":"system","content":"You are a helpful assistant."},'
  .. '{"role":"user","content":"Who are you? Please answer in one short sentence."}],"max_tokens":64'
  .. (stream and ',"stream":true}' or '}')

done = function(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '{"calls":%d,"seconds":%f,"p50_us":%d,"p99_us":%d,"failed":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
