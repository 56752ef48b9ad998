// The official openai SDK for Node, unchanged but for its base URL.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import OpenAI from "openai";
import { clear, counting, ENDLESS, gateway, hungUp, impatient, key, openaiKey, QUESTION, received, script, TOO_MANY } from "./gateway.mjs";

const connect = (more = {}) => new OpenAI({ baseURL: `${gateway}/v1`, apiKey: key, maxRetries: 0, timeout: 20_000, ...more });
const client = connect();
const acting = (behaviour) => ({ headers: { "x-stand-in": behaviour } });
const ask = (more = {}, options = {}, it = client) =>
  it.chat.completions.create({ model: "roomy", messages: QUESTION, ...more }, options);

async function all(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

/** The error that `call` is expected to end in. */
async function failure(call) {
  let answer;
  try {
    answer = await call();
  } catch (error) {
    return error;
  }
  assert.fail(`it was answered: ${JSON.stringify(answer)}`);
}

beforeEach(clear);

test("a chat is answered with its counts", async () => {
  const { data, response, request_id } = await ask().withResponse();
  assert.ok(data.choices[0].message.content);
  assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + 20);
  assert.equal(request_id, response.headers.get("x-request-id"));
  assert.equal(data._request_id, request_id);
  assert.equal(response.headers.get("x-sluice-model"), "roomy");
  const [call] = await received();
  assert.equal(call.headers.authorization, "Bearer sk-of-the-provider");
});

test("a stream brings counts when asked and none otherwise", async () => {
  const plain = await all(await ask({ stream: true }));
  assert.ok(plain.map((it) => it.choices[0].delta.content ?? "").join(""));
  assert.ok(plain.every((it) => it.usage === null && it.choices.length === 1));
  const asked = await all(await ask({ stream: true, stream_options: { include_usage: true } }));
  assert.deepEqual(asked.at(-1).choices, []);
  assert.equal(asked.at(-1).usage.completion_tokens, 20);
});

test("the SDK gathers a stream", async () => {
  const final = await client.chat.completions.stream({ model: "roomy", messages: QUESTION }).finalChatCompletion();
  assert.ok(final.choices[0].message.content);
  assert.equal(final.choices[0].finish_reason, "stop");
});

test("completions, embeddings and models", async () => {
  const completion = await client.completions.create({ model: "roomy", prompt: "Once", max_tokens: 5 });
  assert.equal(completion.choices[0].finish_reason, "length");
  const vectors = await client.embeddings.create({ model: "roomy", input: ["one", "two"] });
  assert.deepEqual(vectors.data.map((it) => it.embedding.length), [16, 16]);
  const models = (await all(client.models.list())).map((it) => it.id);
  assert.ok(models.includes("roomy") && !models.includes("not-granted"));
  assert.equal((await client.models.retrieve("roomy")).owned_by, "dashscope");
});

test("responses, whole and streamed", async () => {
  const whole = await client.responses.create({ model: "roomy", input: "Who are you?" });
  assert.ok(whole.output_text);
  const events = await all(await client.responses.create({ model: "roomy", input: "Who are you?", stream: true }));
  assert.deepEqual(events.map((it) => it.sequence_number), events.map((_, n) => n));
  assert.equal(events.at(-1).type, "response.completed");
  assert.equal(events.at(-1).response.usage.output_tokens, 20);
});

for (const [name, model, more, type, status, code] of [
  ["not granted", "not-granted", {}, OpenAI.PermissionDeniedError, 403, "Model.AccessDenied"],
  ["unknown", "nowhere", {}, OpenAI.NotFoundError, 404, "model_not_found"],
  ["not offered", "native-only", {}, OpenAI.NotFoundError, 404, "model_not_supported"],
  ["without a model", "", {}, OpenAI.BadRequestError, 400, "missing_required_parameter"],
  ["with a number that is none", "roomy", { n: 1.5 }, OpenAI.BadRequestError, 400, "invalid_parameter_error"],
  ["too large", "roomy", { user: "x".repeat(64 << 10) }, OpenAI.APIError, 413, "request_too_large"],
  ["for good", "tiny-node", {}, OpenAI.RateLimitError, 429, "insufficient_quota"],
  ["on a limit of 0", "closed-node", {}, OpenAI.RateLimitError, 429, "limit_requests"],
  ["when nobody is there", "unreachable", {}, OpenAI.InternalServerError, 502, "model_service_failed"],
  ["without a credential", "locked", {}, OpenAI.InternalServerError, 502, "model_service_failed"],
]) {
  test(`refused: ${name}`, async () => {
    const { attempts, fetch } = counting();
    // What may pass is tried again; only what may.
    const error = await failure(() => ask({ model, ...more }, {}, connect({ fetch, maxRetries: 1 })));
    assert.ok(error instanceof type, `${error}`);
    assert.deepEqual([error.status, error.code], [status, code]);
    assert.equal(error.requestID, error.headers.get("x-request-id"));
    assert.equal(error.headers.get("x-sluice-origin"), "gateway");
    const again = model === "unreachable" ? 2 : 1;
    assert.deepEqual(attempts, Array(again).fill(status));
    assert.equal((await received()).length, model === "locked" ? 1 : 0);
  });
}

test("an unknown key, an unknown path", async () => {
  const stranger = await failure(() => ask({}, {}, connect({ apiKey: "sk-nobody" })));
  assert.ok(stranger instanceof OpenAI.AuthenticationError);
  assert.equal(stranger.code, "invalid_api_key");
  const lost = await failure(() => client.images.generate({ model: "roomy", prompt: "a lock gate" }));
  assert.ok(lost instanceof OpenAI.NotFoundError);
  assert.equal(lost.code, "not_found");
});

for (const [kind, cause, code] of [
  ["second", "requests", "limit_requests"],
  ["minute", "requests", "limit_requests"],
  ["tokens", "tokens", "insufficient_quota"],
  ["surge", "surge", "limit_burst_rate"],
]) {
  test(`limited: ${kind}`, async () => {
    const again = async (it) => {
      for (let n = 0; n < TOO_MANY; n++) await ask({ model: `${kind}-node`, max_tokens: 20 }, {}, it);
    };
    for (const [it, expected] of [[client, code], [connect({ apiKey: openaiKey }), "rate_limit_exceeded"]]) {
      const error = await failure(() => again(it));
      assert.ok(error instanceof OpenAI.RateLimitError, `${error}`);
      assert.equal(error.code, expected);
      assert.equal(error.error.details[0].cause, cause);
      assert.equal(error.headers.get("x-sluice-cause"), cause);
      assert.equal(Number(error.headers.get("retry-after-ms")), Math.max(...error.error.details.map((it) => it.retry_after_ms)));
    }
  });
}

for (const kind of ["second", "tokens", "surge"]) {
  test(`the SDK comes back when it was told to: ${kind}`, async () => {
    const { attempts, fetch } = counting();
    const it = connect({ fetch, maxRetries: 3 });
    while (!attempts.includes(429)) {
      const answer = await ask({ model: `${kind}-node`, max_tokens: 20 }, {}, it);
      assert.ok(answer.choices.length);
    }
    assert.deepEqual(attempts.slice(-2), [429, 200]);
  });
}

test("an error of the provider passes and is tried again", async () => {
  const { attempts, fetch } = counting();
  await script("status=503; header=retry-after-ms: 10");
  await ask({}, {}, connect({ fetch, maxRetries: 1 }));
  assert.deepEqual(attempts, [503, 200]);
  const error = await failure(() => ask({}, acting("status=429; header=retry-after: 7")));
  assert.ok(error instanceof OpenAI.RateLimitError);
  assert.deepEqual([error.code, error.headers.get("retry-after")], ["insufficient_quota", "7"]);
  assert.equal(error.headers.get("x-sluice-origin"), "provider");
});

for (const [behaviour, code] of [
  ["error-event=3", "insufficient_quota"],
  ["break-after=3", "model_service_failed"],
  ["break-inside=3", "model_service_failed"],
  ["end-after=3", "model_service_failed"],
]) {
  test(`trouble inside a stream is an error, not an end: ${behaviour}`, async () => {
    const chunks = [];
    const error = await failure(async () => {
      for await (const chunk of await ask({ stream: true }, acting(behaviour))) chunks.push(chunk);
    });
    assert.ok(error instanceof OpenAI.APIError, `${error}`);
    assert.deepEqual([chunks.length, error.code], [3, code]);
  });

  test(`trouble inside a stream of responses is its last event: ${behaviour}`, async () => {
    const body = { model: "roomy", input: "Who are you?", stream: true };
    const events = await all(await client.responses.create(body, acting(behaviour)));
    assert.deepEqual(events.map((it) => it.sequence_number), [0, 1, 2, 3]);
    assert.deepEqual([events.at(-1).type, events.at(-1).code], ["error", code]);
  });
}

test("a provider that says nothing", async () => {
  const it = connect({ baseURL: `${impatient.url}/v1`, apiKey: impatient.key });
  const late = await failure(() => ask({}, acting("delay-ms=60000"), it));
  assert.ok(late instanceof OpenAI.InternalServerError);
  assert.deepEqual([late.status, late.code], [504, "request_timeout"]);
  const silent = await failure(async () => all(await ask({ stream: true }, acting("silence-after=3"), it)));
  assert.equal(silent.code, "request_timeout");
});

test("a batch from its file to its answers", async () => {
  const line = (id, model) =>
    JSON.stringify({ custom_id: id, method: "POST", url: "/v1/chat/completions", body: { model, messages: QUESTION } });
  const upload = (...models) =>
    client.files.create({ file: new File([models.map((it, n) => line(`${n}`, it)).join("\n")], "calls.jsonl"), purpose: "batch" });
  const file = await upload("roomy", "renamed");
  const begun = await client.batches.create({
    input_file_id: file.id,
    endpoint: "/v1/chat/completions",
    completion_window: "24h",
  });
  const batch = await client.batches.retrieve(begun.id);
  assert.deepEqual([batch.status, batch.request_counts.completed], ["completed", 2]);
  const answers = (await (await client.files.content(batch.output_file_id)).text()).trim().split("\n");
  assert.deepEqual(answers.map((it) => JSON.parse(it).custom_id), ["0", "1"]);
  assert.ok((await all(client.files.list())).some((it) => it.id === file.id));
  const refused = await failure(() => upload("roomy", "not-granted"));
  assert.ok(refused instanceof OpenAI.PermissionDeniedError, `${refused}`);
  assert.match(refused.message, /Line 2 of the file\.$/);
});

for (const options of [{ headers: ENDLESS }, acting("silence-after=3")]) {
  test(`leaving a stream ends the call at the provider: ${options.headers["x-stand-in"]}`, async () => {
    for await (const chunk of await ask({ stream: true }, options)) {
      assert.ok(chunk.choices);
      break;
    }
    await hungUp();
  });
}

test("an aborted call ends at the provider", async () => {
  const controller = new AbortController();
  const call = ask({}, { ...acting("delay-ms=60000"), signal: controller.signal });
  while ((await received()).length === 0) await new Promise((done) => setTimeout(done, 20));
  controller.abort();
  assert.ok((await failure(() => call)) instanceof OpenAI.APIUserAbortError);
  await hungUp();
});
