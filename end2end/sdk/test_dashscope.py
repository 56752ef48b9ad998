"""The official dashscope SDK, unchanged but for its base URL: answers."""

import asyncio
import json

import dashscope
import pytest
from as_dashscope import MESSAGES, acting, ask
from cells import cell
from harness import ENDLESS


@pytest.fixture(autouse=True)
def at_the_gateway(native, sluice, key):
    native(sluice.gateway_url, key)


def text_of(output):
    return output.text if output.text is not None else output.choices[0].message.content


@pytest.mark.parametrize("form", [{}, {"result_format": "message"}])
def test_a_generation_is_answered_with_its_counts(received, form):
    answer = ask(**form)
    assert answer.status_code == 200 and text_of(answer.output)
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens == 20
    assert answer.usage["total_tokens"] == answer.usage.input_tokens + 20
    assert answer.headers["x-sluice-model"] == "roomy"
    (call,) = received()
    assert call["path"] == "/api/v1/services/aigc/text-generation/generation"
    assert call["headers"]["authorization"] == "Bearer sk-of-the-provider"
    # The body's id is the provider's; the header's is the gateway's, which the provider was told.
    assert answer.request_id == answer.headers["x-sluice-upstream-request-id"]
    assert call["headers"]["x-request-id"] == answer.headers["x-request-id"]


def test_messages_and_tools_arrive_as_they_were_sent(received):
    tool = {"type": "function", "function": {"name": "weather", "description": "天気", "parameters": {}}}
    ask(messages=MESSAGES, tools=[tool], max_tokens=7, seed=1234, workspace="ws-of-somebody")
    (call,) = received()
    body = json.loads(call["body"])
    assert body["input"] == {"messages": MESSAGES} and body["parameters"]["tools"] == [tool]
    assert "天気" in call["body"], "the SDK escapes nothing, and nothing is escaped on the way"
    assert "x-dashscope-workspace" not in call["headers"]


# By itself the SDK asks for frames that add up, and repeats the text so far on its own side.
@pytest.mark.parametrize("form", [{}, {"result_format": "message"}])
@pytest.mark.parametrize("incremental", [None, False, True])
def test_a_stream_grows_or_adds_as_asked(form, incremental):
    frames = list(ask(stream=True, incremental_output=incremental, **form, **acting("output=10")))
    assert all(it.status_code == 200 for it in frames)
    texts = [text_of(it.output) or "" for it in frames]
    if incremental:
        assert len(texts) > 2 and not texts[1].startswith(texts[0])
    else:
        assert all(later.startswith(earlier) for earlier, later in zip(texts, texts[1:]))
    assert frames[-1].usage.output_tokens == 10
    finish = frames[-1].output.finish_reason or frames[-1].output.choices[0].finish_reason
    assert finish == "stop"


def test_frames_that_grow_pass_unchanged(received):
    # The SDK leaves `incremental_output` as it is for models of this kind.
    frames = list(ask("roomy-omni", stream=True, incremental_output=False, **acting("output=10")))
    texts = [it.output.text for it in frames]
    assert len(texts) > 2 and all(later.startswith(earlier) for earlier, later in zip(texts, texts[1:]))
    assert json.loads(received()[0]["body"])["parameters"]["incremental_output"] is False


def converse(**more):
    content = [{"image": "https://example.invalid/lock.png"}, {"text": "What is this?"}]
    messages = [{"role": "user", "content": content}]
    return dashscope.MultiModalConversation.call(model="roomy", messages=messages, **more)


def test_a_conversation_with_pictures(received):
    answer = converse()
    assert answer.output.choices[0].message.content[0]["text"] and answer.usage.output_tokens == 20
    assert received()[0]["path"] == "/api/v1/services/aigc/multimodal-generation/generation"
    frames = list(converse(stream=True, incremental_output=True))
    texts = [part["text"] for it in frames for part in it.output.choices[0].message.content]
    assert "".join(texts) and frames[-1].usage.output_tokens == 20


def test_embeddings():
    answer = dashscope.TextEmbedding.call(model="roomy", input=["one", "two"])
    assert answer.status_code == 200
    assert [it["text_index"] for it in answer.output["embeddings"]] == [0, 1]
    assert all(len(it["embedding"]) == 16 for it in answer.output["embeddings"])
    assert answer.usage["total_tokens"] > 0
    assert int(answer.headers["x-ratelimit-remaining-tokens"]) < 10_000_000


def test_a_backup_takes_over_and_says_so(received):
    model = cell("backed", "dashscope")
    assert ask(model).status_code == 200
    answer = ask(model, headers={"X-Sluice-Fallback": "on"})
    assert (answer.headers["x-sluice-model"], answer.headers["x-sluice-fallback"]) == ("roomy", "requests")
    assert [json.loads(it["body"])["model"] for it in received()] == [model, "roomy"]


def test_a_call_waits_when_it_asks_to(received):
    model = cell("second", "dashscope")
    waited = [ask(model, headers={"X-DashScope-Wait-Timeout": "5"}) for _ in range(3)]
    assert [it.status_code for it in waited] == [200, 200, 200]
    assert all(int(it.headers["x-sluice-waited-ms"]) > 0 for it in waited[1:])
    # What is left of the wait is the provider's, which has a queue of its own.
    assert all(0 < int(it["headers"]["x-dashscope-wait-timeout"]) < 5 for it in received()[1:])


@pytest.mark.parametrize("behaviour", [ENDLESS, {"x-stand-in": "silence-after=3"}])
def test_leaving_a_stream_ends_the_call_at_the_provider(hung_up, behaviour):
    frames = ask(stream=True, incremental_output=True, headers=behaviour)
    assert next(frames).status_code == 200
    del frames
    hung_up()


def test_leaving_a_stream_of_the_asynchronous_client_ends_it_too(hung_up):
    async def run():
        more = {"stream": True, "incremental_output": True, "headers": ENDLESS}
        frames = await dashscope.AioGeneration.call(model="roomy", prompt="Who are you?", **more)
        async for frame in frames:
            assert frame.status_code == 200
            break
        await frames.aclose()

    asyncio.run(run())
    hung_up()
