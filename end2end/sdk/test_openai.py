"""The official openai SDK, unchanged but for its base URL."""

import openai
import pytest
from harness import CountingProxy, wait_for

QUESTION = [{"role": "user", "content": "Who are you?"}]


def connect(url, key, **more):
    return openai.OpenAI(base_url=url + "/v1", api_key=key, **{"max_retries": 0, "timeout": 20} | more)


@pytest.fixture
def client(sluice, key):
    with connect(sluice.gateway_url, key) as it:
        yield it


@pytest.fixture
def counted(sluice, key):
    """A client behind a proxy that counts its attempts."""
    proxy = CountingProxy(sluice.gateway_url)
    with connect(proxy.url, key, max_retries=3) as it:
        yield it, proxy.attempts
    proxy.stop()


def ask(client, model="roomy", **more):
    return client.chat.completions.create(model=model, messages=QUESTION, **more)


def test_a_chat_is_answered_with_its_counts(client, received):
    raw = client.chat.completions.with_raw_response.create(model="roomy", messages=QUESTION)
    answer = raw.parse()
    assert answer.choices[0].message.content
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert raw.headers["x-ratelimit-limit-requests"] == "60000"
    assert raw.headers["x-ratelimit-remaining-tokens"].isdigit()
    (call,) = received()
    assert call["headers"]["authorization"] == "Bearer sk-of-the-provider"
    assert call["headers"]["x-request-id"] == raw.headers["x-request-id"]


def test_the_other_base_url_works_as_well(sluice, key):
    with connect(sluice.gateway_url + "/compatible-mode", key) as client:
        assert ask(client).choices[0].finish_reason == "stop"


def test_a_stream_arrives_without_counts_that_nobody_asked_for(client, received):
    chunks = list(ask(client, stream=True))
    text = "".join(it.choices[0].delta.content or "" for it in chunks)
    assert text and chunks[-1].choices[0].finish_reason == "stop"
    assert all(it.usage is None for it in chunks)
    assert '"include_usage":true' in received()[0]["body"]


def test_a_stream_brings_counts_when_asked(client):
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 20


def test_the_models_are_those_of_the_workspace(client):
    models = [it.id for it in client.models.list()]
    assert "roomy" in models and "not-granted" not in models


@pytest.mark.parametrize(
    ("model", "more", "error", "code"),
    [
        ("not-granted", {}, openai.PermissionDeniedError, "Model.AccessDenied"),
        ("nowhere", {}, openai.NotFoundError, "model_not_found"),
        ("roomy", {"max_tokens": -1}, openai.BadRequestError, "invalid_parameter_error"),
    ],
)
def test_calls_that_cannot_be_are_refused_by_name(client, received, model, more, error, code):
    with pytest.raises(error) as caught:
        ask(client, model, **more)
    assert caught.value.code == code
    assert caught.value.request_id == caught.value.body.get("request_id", caught.value.request_id)
    assert received() == []


def test_an_unknown_key_is_told_so(sluice):
    with connect(sluice.gateway_url, "sk-nobody") as client, pytest.raises(openai.AuthenticationError) as caught:
        ask(client)
    assert caught.value.code == "invalid_api_key"


def test_the_sdk_comes_back_when_it_was_told_to(counted, received):
    client, attempts = counted
    ask(client, "one-a-second")
    ask(client, "one-a-second")
    assert attempts == [("one-a-second", 200), ("one-a-second", 429), ("one-a-second", 200)]
    assert received()[1]["headers"]["x-stainless-retry-count"] == "1"


def test_a_refusal_says_which_limit_and_when(client):
    with pytest.raises(openai.RateLimitError) as caught:
        for _ in range(3):
            ask(client, "one-a-second-too")
    error = caught.value
    assert error.code == error.type == "limit_requests"
    (detail,) = error.body["details"]
    assert (detail["cause"], detail["scope"], detail["window_s"], detail["limit"]) == ("requests", "account", 1, 1)
    assert int(error.response.headers["retry-after-ms"]) == detail["retry_after_ms"] <= 1000
    assert error.response.headers["x-should-retry"] == "true"


def test_an_openai_dialect_key_hears_openai_codes(sluice):
    key = sluice.key("search", "--error-dialect", "openai")
    with connect(sluice.gateway_url, key) as client, pytest.raises(openai.RateLimitError) as caught:
        for _ in range(2):
            ask(client, "one-a-minute")
    assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "requests")
    assert float(caught.value.response.headers["retry-after"]) > 1


@pytest.mark.parametrize("model", ["tiny", "closed"])
def test_the_sdk_does_not_insist_on_what_can_never_be(counted, model):
    client, attempts = counted
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client, model)
    assert attempts == [(model, 429)]
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert "retry-after" not in caught.value.response.headers


def test_an_error_of_the_provider_passes_and_is_tried_again(counted, stand_in, received):
    client, attempts = counted
    stand_in.script("status=503; header=retry-after-ms: 10")
    assert ask(client).choices
    assert attempts == [("roomy", 503), ("roomy", 200)] and len(received()) == 2


def test_throttling_by_the_provider_keeps_its_own_words(client):
    with pytest.raises(openai.RateLimitError) as caught:
        ask(client, extra_headers={"x-stand-in": "status=429; header=retry-after: 7"})
    assert caught.value.code == "insufficient_quota"
    assert caught.value.response.headers["x-sluice-origin"] == "provider"
    assert caught.value.response.headers["retry-after"] == "7"


@pytest.mark.parametrize("behaviour", ["error-event=3", "break-after=3"])
def test_trouble_inside_a_stream_is_an_error_not_an_end(client, behaviour):
    with pytest.raises(openai.APIError):
        for _ in ask(client, stream=True, extra_headers={"x-stand-in": behaviour}):
            pass


def test_closing_a_stream_ends_the_call_at_the_provider(client, received):
    stream = ask(client, stream=True, extra_headers={"x-stand-in": "silence-after=3"})
    next(iter(stream))
    stream.close()
    call = wait_for("the provider's call ends", lambda: next((it for it in received() if it["ended"]), None))
    assert call["ended"] == "hung_up"
