// The Vercel AI SDK, which does not know `x-should-retry` and waits by `retry-after-ms` and `retry-after` alone.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, embedMany, generateText, RetryError, streamText } from "ai";
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { clear, counting, ENDLESS, gateway, hungUp, key, received, TOO_MANY } from "./gateway.mjs";

const connect = (more = {}) =>
  createOpenAICompatible({ name: "sluice", baseURL: `${gateway}/v1`, apiKey: key, includeUsage: false, ...more });
const ask = (more = {}, provider = connect()) =>
  generateText({ model: provider("roomy"), prompt: "Who are you?", maxRetries: 0, ...more });

beforeEach(clear);

test("a text is answered with its counts", async () => {
  const answer = await ask();
  assert.ok(answer.text);
  assert.equal(answer.usage.outputTokens, 20);
  const [call] = await received();
  assert.equal(call.headers["x-request-id"], answer.response.headers["x-request-id"]);
});

for (const includeUsage of [false, true]) {
  test(`a stream, with counts: ${includeUsage}`, async () => {
    const { textStream, usage } = streamText({ model: connect({ includeUsage })("roomy"), prompt: "Who are you?" });
    let text = "";
    for await (const part of textStream) text += part;
    assert.ok(text);
    assert.equal((await usage).outputTokens, includeUsage ? 20 : undefined);
  });
}

test("embeddings", async () => {
  const model = connect().embeddingModel("roomy");
  const { embeddings } = await embedMany({ model, values: ["one", "two"] });
  assert.deepEqual(embeddings.map((it) => it.length), [16, 16]);
});

test("a refusal is an error of the call, with its words", async () => {
  const model = connect()("not-granted");
  await assert.rejects(ask({ model }), (error) => {
    assert.ok(APICallError.isInstance(error), `${error}`);
    assert.deepEqual([error.statusCode, error.isRetryable], [403, false]);
    assert.match(error.message, /^Model access denied\./);
    assert.equal(error.data.error.code, "Model.AccessDenied");
    return true;
  });
});

test("the SDK comes back when it was told to", async () => {
  const { attempts, fetch } = counting();
  const model = connect({ fetch })("second-ai");
  for (let n = 0; n < TOO_MANY && !attempts.includes(429); n++) await ask({ model, maxRetries: 3 });
  assert.deepEqual(attempts.slice(-2), [429, 200]);
});

test("a limit that stays is told in the end", async () => {
  const model = connect()("closed-ai");
  await assert.rejects(ask({ model, maxRetries: 1 }), (error) => {
    assert.ok(RetryError.isInstance(error), `${error}`);
    assert.match(error.lastError.message, /no call is admitted\.$/);
    return true;
  });
});

test("trouble inside a stream is an error, not an end", async () => {
  for (const behaviour of ["error-event=3", "break-after=3"]) {
    const errors = [];
    const { textStream } = streamText({
      model: connect()("roomy"),
      prompt: "Who are you?",
      headers: { "x-stand-in": behaviour },
      onError: ({ error }) => errors.push(error),
    });
    for await (const part of textStream) assert.ok(part !== undefined);
    assert.equal(errors.length, 1, behaviour);
  }
});

test("an aborted stream ends the call at the provider", async () => {
  const controller = new AbortController();
  const { textStream } = streamText({
    model: connect()("roomy"),
    prompt: "Who are you?",
    headers: ENDLESS,
    abortSignal: controller.signal,
  });
  for await (const part of textStream) {
    assert.ok(part);
    break;
  }
  controller.abort();
  await hungUp();
});
