// What the tests of both Node SDKs share: where the gateway and its provider are, and what the provider saw.

export const QUESTION = [{ role: "user", content: "Who are you?" }];
// A stream that goes on for longer than anybody waits, and is never silent for long.
export const ENDLESS = { "x-stand-in": "output=8000; gap-ms=50" };
// Calls in a row that none of the limits of a second allows.
export const TOO_MANY = 8;

const given = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: these tests are started by test_node.py`);
  return value;
};

export const gateway = given("GATEWAY_URL");
export const key = given("GATEWAY_KEY");
export const openaiKey = given("GATEWAY_OPENAI_KEY");
export const impatient = { url: given("IMPATIENT_URL"), key: given("IMPATIENT_KEY") };
const standIn = given("STAND_IN_URL");

export async function received() {
  const answer = await fetch(`${standIn}/stand-in/log`);
  return answer.json();
}

export async function clear() {
  await fetch(`${standIn}/stand-in/log`, { method: "DELETE" });
}

export async function script(...lines) {
  await fetch(`${standIn}/stand-in/script`, { method: "PUT", body: lines.join("\n") });
}

/** Waits until the provider has seen its only client leave. */
export async function hungUp() {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const calls = await received();
    if (calls.length === 1 && calls[0].ended === "hung_up") return;
    if (Date.now() > deadline) throw new Error(`the provider's call was not dropped: ${JSON.stringify(calls)}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

/** A `fetch` that notes the status of every attempt. */
export function counting() {
  const attempts = [];
  const counted = async (url, options) => {
    const answer = await fetch(url, options);
    attempts.push(answer.status);
    return answer;
  };
  return { attempts, fetch: counted };
}
