"""The official anthropic SDK, unchanged but for its base URL: answers."""

import asyncio
from datetime import datetime, timezone

import anthropic
import pytest
from as_anthropic import QUESTION, ask, connect
from cells import cell
from harness import ENDLESS, wait_for


@pytest.fixture
def client(sluice, key):
    with connect(sluice.gateway_url, key) as it:
        yield it


def test_a_message_is_answered_with_its_counts(client, received):
    raw = client.messages.with_raw_response.create(model="roomy", max_tokens=64, messages=QUESTION)
    message = raw.parse()
    assert message.content[0].text and message.stop_reason == "end_turn"
    assert message.usage.output_tokens == 20 and message.usage.input_tokens > 0
    assert message._request_id == raw.headers["request-id"] == raw.headers["x-request-id"]
    (call,) = received()
    assert call["path"] == "/apps/anthropic/v1/messages"
    assert call["headers"]["x-api-key"] == "sk-of-the-provider"
    assert call["headers"]["anthropic-version"] == "2023-06-01"
    assert "authorization" not in call["headers"]


def test_limits_stand_in_the_headers_that_the_sdk_knows(client):
    raw = client.messages.with_raw_response.create(model="roomy", max_tokens=64, messages=QUESTION)
    headers = raw.headers
    assert headers["anthropic-ratelimit-requests-limit"] == headers["x-ratelimit-limit-requests"] == "60000"
    assert headers["anthropic-ratelimit-tokens-limit"] == "10000000"
    assert headers["anthropic-ratelimit-tokens-remaining"] == headers["x-ratelimit-remaining-tokens"]
    reset = datetime.fromisoformat(headers["anthropic-ratelimit-requests-reset"])
    assert 0 < (reset - datetime.now(timezone.utc)).total_seconds() <= 61
    assert not any("input-tokens" in it or "output-tokens" in it for it in headers)


def test_a_bearer_token_and_the_longer_path_work_as_well(sluice, key, received):
    with connect(sluice.gateway_url + "/apps/anthropic", None, auth_token=key) as client:
        assert ask(client).content[0].text
    (call,) = received()
    assert call["headers"]["x-api-key"] == "sk-of-the-provider" and "authorization" not in call["headers"]


def test_what_was_sent_arrives_byte_for_byte(sluice, key, received):
    sent = []
    hooks = anthropic.DefaultHttpxClient(event_hooks={"request": [lambda it: sent.append(it.read())]})
    tool = {"name": "weather", "description": "天気", "input_schema": {"type": "object", "properties": {}}}
    with connect(sluice.gateway_url, key, http_client=hooks) as client:
        ask(
            client,
            system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            tools=[tool],
            tool_choice={"type": "auto"},
            temperature=0.1,
            extra_headers={"anthropic-beta": "some-beta-2026-01-01"},
        )
    (call,) = received()
    assert bytes.fromhex(call["body_hex"]) == sent[0]
    assert call["headers"]["anthropic-beta"] == "some-beta-2026-01-01"


def test_system_and_tools_are_counted(client):
    def charged(**more):
        raw = client.messages.with_raw_response.create(
            model="roomy", max_tokens=64, messages=QUESTION, extra_headers={"x-stand-in": "no-usage"}, **more
        )
        return -int(raw.headers["x-ratelimit-remaining-tokens"])

    def cost(**more):
        before = charged()
        return charged(**more) - before

    plain = cost()
    words = "word " * 2000
    tool = {"name": "look", "description": words, "input_schema": {"type": "object", "properties": {}}}
    # 10,000 bytes are 2,500 tokens, times the ratio that the model has learned, which is never less than a half.
    assert cost(system=words) > plain + 1000
    assert cost(tools=[tool]) > plain + 1000


def test_a_stream(client):
    events = list(ask(client, stream=True))
    assert [events[0].type, events[-1].type] == ["message_start", "message_stop"]
    assert "".join(it.delta.text for it in events if it.type == "content_block_delta")
    (delta,) = [it for it in events if it.type == "message_delta"]
    assert (delta.usage.output_tokens, delta.delta.stop_reason) == (20, "end_turn")


def test_a_stream_says_what_the_sdk_gathers_from_it(client):
    with client.messages.stream(model="roomy", max_tokens=5, messages=QUESTION, system="Be brief.") as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert message.content[0].text == text and message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 5 and message.usage.input_tokens > 0


def test_a_backup_takes_over_and_says_so(client, received):
    model = cell("backed", "anthropic")
    ask(client, model)
    raw = client.messages.with_raw_response.create(
        model=model, max_tokens=64, messages=QUESTION, extra_headers={"X-Sluice-Fallback": "on"}
    )
    assert (raw.headers["x-sluice-model"], raw.headers["x-sluice-fallback"]) == ("roomy", "requests")
    assert raw.parse().model == "roomy" and len(received()) == 2


@pytest.mark.parametrize("behaviour", [ENDLESS, {"x-stand-in": "silence-after=4"}])
def test_closing_a_stream_ends_the_call_at_the_provider(client, hung_up, behaviour):
    stream = ask(client, stream=True, extra_headers=behaviour)
    next(iter(stream))
    stream.close()
    hung_up()


def test_leaving_a_stream_of_the_asynchronous_client_ends_it_too(sluice, key, hung_up):
    async def run():
        async with anthropic.AsyncAnthropic(base_url=sluice.gateway_url, api_key=key, max_retries=0) as client:
            more = {"model": "roomy", "max_tokens": 10_000, "messages": QUESTION, "extra_headers": ENDLESS}
            async with client.messages.stream(**more) as stream:
                async for text in stream.text_stream:
                    return text

    assert asyncio.run(run())
    hung_up()
