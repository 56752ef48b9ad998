"""The official openai SDK, unchanged but for its base URL: answers."""

import asyncio

import openai
import pytest
from as_openai import QUESTION, ask, connect
from cells import cell
from harness import ENDLESS, wait_for



@pytest.fixture
def client(sluice, key):
    with connect(sluice.gateway_url, key) as it:
        yield it


def text_of(chunks):
    return "".join(choice.delta.content or "" for it in chunks for choice in it.choices)


def test_a_chat_is_answered_with_its_counts(client, received):
    raw = client.chat.completions.with_raw_response.create(model="roomy", messages=QUESTION)
    answer = raw.parse()
    assert answer.choices[0].message.content
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert raw.headers["x-ratelimit-limit-requests"] == "60000"
    assert raw.headers["x-ratelimit-remaining-tokens"].isdigit()
    assert raw.headers["x-sluice-model"] == "roomy"
    (call,) = received()
    assert call["headers"]["authorization"] == "Bearer sk-of-the-provider"
    assert call["headers"]["x-request-id"] == raw.headers["x-request-id"] == answer._request_id


@pytest.mark.parametrize("base", ["/v1", "/compatible-mode/v1"])
def test_either_base_url_leads_to_the_same(sluice, key, received, base):
    with openai.OpenAI(base_url=sluice.gateway_url + base, api_key=key, max_retries=0) as client:
        assert ask(client).choices[0].finish_reason == "stop"
    assert received()[0]["path"] == "/compatible-mode/v1/chat/completions"


def test_organisation_and_project_are_nothing_to_the_provider(sluice, key, received):
    with connect(sluice.gateway_url, key, organization="org-a", project="proj-b") as client:
        ask(client)
    assert not {"openai-organization", "openai-project"} & set(received()[0]["headers"])


def test_what_was_sent_arrives_byte_for_byte(sluice, key, received):
    sent = []
    hooks = openai.DefaultHttpxClient(event_hooks={"request": [lambda it: sent.append(it.read())]})
    with connect(sluice.gateway_url, key, http_client=hooks) as client:
        ask(client, temperature=0.1, max_tokens=7, extra_body={"enable_thinking": False, "中": ["\u2028", None]})
    assert bytes.fromhex(received()[0]["body_hex"]) == sent[0]


def test_a_stream_arrives_without_counts_that_nobody_asked_for(client, received):
    chunks = list(ask(client, stream=True))
    assert text_of(chunks) and chunks[-1].choices[0].finish_reason == "stop"
    assert all(it.usage is None and it.choices for it in chunks)
    assert '"include_usage":true' in received()[0]["body"]


@pytest.mark.parametrize("options", [{}, {"include_usage": False}])
def test_a_client_that_declines_counts_gets_none(client, received, options):
    chunks = list(ask(client, stream=True, stream_options=options))
    assert all(it.usage is None and it.choices for it in chunks)
    assert '"include_usage":true' in received()[0]["body"]


def test_a_stream_brings_counts_when_asked(client):
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 20
    assert chunks[-1].usage.total_tokens == chunks[-1].usage.prompt_tokens + 20


def test_a_stream_says_what_the_sdk_gathers_from_it(client):
    with client.chat.completions.stream(model="roomy", messages=QUESTION, n=2) as stream:
        deltas = "".join(it.delta for it in stream if it.type == "content.delta")
        final = stream.get_final_completion()
    assert len(final.choices) == 2 and all(it.finish_reason == "stop" for it in final.choices)
    assert len(deltas) == sum(len(it.message.content) for it in final.choices) > 0


def test_completions_of_the_older_kind(client, received):
    whole = client.completions.create(model="roomy", prompt="Once", max_tokens=5)
    assert whole.choices[0].text and whole.choices[0].finish_reason == "length"
    assert whole.usage.completion_tokens == 5
    chunks = list(client.completions.create(model="roomy", prompt="Once", stream=True))
    assert "".join(it.choices[0].text for it in chunks) and all(it.usage is None for it in chunks)
    assert [it["path"].rsplit("/", 1)[1] for it in received()] == ["completions"] * 2


# The SDK asks for base64 by itself, and decodes it.
@pytest.mark.parametrize("more", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}])
def test_embeddings(client, more):
    answer = client.embeddings.create(model="roomy", input=["one", "two"], **more)
    assert [it.index for it in answer.data] == [0, 1]
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0
    vectors = [it.embedding for it in answer.data]
    if more.get("encoding_format") == "base64":
        assert all(isinstance(it, str) for it in vectors)
    else:
        assert all(len(it) == 16 and all(-1 <= number <= 1 for number in it) for it in vectors)


def test_responses(client):
    answer = client.responses.create(model="roomy", input="Who are you?", instructions="Be brief.")
    assert answer.status == "completed" and answer.output_text
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0


def test_responses_in_a_stream(client):
    events = list(client.responses.create(model="roomy", input="Who are you?", stream=True))
    assert [it.sequence_number for it in events] == list(range(len(events)))
    assert events[-1].type == "response.completed" and events[-1].response.usage.output_tokens == 20
    deltas = "".join(it.delta for it in events if it.type == "response.output_text.delta")
    assert deltas == events[-1].response.output_text
    with client.responses.stream(model="roomy", input="Who are you?", max_output_tokens=5) as stream:
        assert [it.type for it in stream][-1] == "response.incomplete"


def test_the_models_are_those_of_the_workspace(client):
    models = {it.id: it for it in client.models.list()}
    assert "roomy" in models and not {"not-granted", "native-only"} & set(models)
    one = client.models.retrieve("roomy")
    assert one == models["roomy"] and (one.object, one.owned_by) == ("model", "dashscope")
    for code in ("not-granted", "native-only", "nowhere"):
        with pytest.raises(openai.NotFoundError) as caught:
            client.models.retrieve(code)
        assert caught.value.code == "model_not_found"


def test_a_backup_takes_over_and_says_so(client, received):
    model = cell("backed", "openai")
    ask(client, model)
    with pytest.raises(openai.RateLimitError):
        ask(client, model)
    headers = {"X-Sluice-Fallback": "on"}
    raw = client.chat.completions.with_raw_response.create(model=model, messages=QUESTION, extra_headers=headers)
    assert (raw.headers["x-sluice-model"], raw.headers["x-sluice-fallback"]) == ("roomy", "requests")
    assert raw.parse().model == "roomy"
    assert ['"model":"roomy"' in it["body"] for it in received()] == [False, True]
    assert "x-sluice-fallback" not in received()[1]["headers"]


def test_a_backup_takes_over_from_a_provider_in_trouble(client, stand_in, received):
    stand_in.script("status=503")
    model = cell("backed", "node")
    headers = {"X-Sluice-Fallback": "on"}
    chunks = client.chat.completions.with_raw_response.create(
        model=model, messages=QUESTION, stream=True, extra_headers=headers
    )
    assert chunks.headers["x-sluice-fallback"] == "upstream_5xx"
    assert text_of(chunks.parse()) and len(received()) == 2


def test_a_call_waits_when_it_asks_to(client):
    model = cell("second", "openai")
    headers = {"X-DashScope-Wait-Timeout": "5"}

    def waited():
        raw = client.chat.completions.with_raw_response.create(model=model, messages=QUESTION, extra_headers=headers)
        return int(raw.headers["x-sluice-waited-ms"])

    assert [waited() > 0 for _ in range(3)][1:] == [True, True]


def test_a_wait_that_could_not_suffice_is_refused_at_once(client):
    model = cell("minute", "openai")
    ask(client, model)
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client, model, extra_headers={"X-DashScope-Wait-Timeout": "5"})
    assert caught.value.response.headers["x-sluice-waited-ms"] == "0"
    assert int(caught.value.response.headers["retry-after"]) > 5


def test_closing_a_stream_ends_the_call_at_the_provider(client, hung_up):
    stream = ask(client, stream=True, extra_headers=ENDLESS)
    next(iter(stream))
    stream.close()
    hung_up()


def test_closing_a_stream_that_is_silent_ends_the_call_too(client, hung_up):
    stream = ask(client, stream=True, extra_headers={"x-stand-in": "silence-after=3"})
    next(iter(stream))
    stream.close()
    hung_up()


def test_a_client_that_gives_up_ends_the_call_at_the_provider(client, hung_up):
    with pytest.raises(openai.APITimeoutError):
        ask(client, timeout=0.5, extra_headers={"x-stand-in": "delay-ms=60000"})
    hung_up()


def test_many_at_once_and_one_that_is_left(sluice, key, hung_up, received):
    async def run():
        client = openai.AsyncOpenAI(base_url=sluice.gateway_url + "/v1", api_key=key, max_retries=0, timeout=20)
        async with client:
            answers = await asyncio.gather(*(ask(client) for _ in range(8)))
            wait_for("the provider has answered", lambda: all(it["ended"] == "answered" for it in received()))
            return answers, len(received()), await left(client)

    async def left(client):
        async with await ask(client, stream=True, extra_headers=ENDLESS) as stream:
            async for chunk in stream:
                return chunk

    answers, count, chunk = asyncio.run(run())
    assert len({it._request_id for it in answers}) == count == 8 and chunk.choices
    wait_for("the ninth call is dropped", lambda: received()[-1]["ended"] == "hung_up")
