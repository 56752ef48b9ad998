"""The official openai SDK, unchanged but for its base URL: refusals, retries, and trouble."""

import openai
import pytest
from as_openai import QUESTION, ask, connect
from cells import cell
from conftest import BODY_LIMIT
from refusals import BROKE_OFF, DRAINING, SILENT, UPSTREAM, check_for_good, check_gateway_made, check_limited

# Calls in a row that none of the limits of a second allows.
TOO_MANY = 8


@pytest.fixture
def client(sluice, key):
    with connect(sluice.gateway_url, key) as it:
        yield it


@pytest.fixture
def counted(proxy, key):
    """A client that tries again, and its attempts."""
    with connect(proxy.url, key, max_retries=3) as it:
        yield it, proxy.attempts


@pytest.fixture(scope="session")
def openai_key(sluice):
    """A key whose refusals are told in OpenAI's own codes."""
    return sluice.key("search", "--error-dialect", "openai")


def refused(client, model, **more):
    """The refusal that comes when one goes on asking."""
    with pytest.raises(openai.APIStatusError) as caught:
        for _ in range(TOO_MANY):
            ask(client, model, **more)
    return caught.value


def check_made_here(error):
    body = error.response.json()
    assert error.body == body["error"]
    assert error.request_id == error.response.headers["x-request-id"]
    check_gateway_made(error.response.headers, body["request_id"])


def told(error):
    return (error.status_code, error.type, error.code, error.param)


@pytest.mark.parametrize(
    ("model", "more", "error", "expected"),
    [
        ("not-granted", {}, openai.PermissionDeniedError, (403, "Model.AccessDenied", "Model.AccessDenied", None)),
        ("nowhere", {}, openai.NotFoundError, (404, "invalid_request_error", "model_not_found", None)),
        ("native-only", {}, openai.NotFoundError, (404, "invalid_request_error", "model_not_supported", None)),
        (
            "",
            {},
            openai.BadRequestError,
            (400, "invalid_request_error", "missing_required_parameter", "model"),
        ),
        (
            "roomy",
            {"max_tokens": -1},
            openai.BadRequestError,
            (400, "invalid_request_error", "invalid_parameter_error", "max_tokens"),
        ),
        (
            "roomy",
            {"extra_headers": {"X-DashScope-Wait-Timeout": "soon"}},
            openai.BadRequestError,
            (400, "invalid_request_error", "invalid_parameter_error", None),
        ),
        (
            "roomy",
            {"extra_headers": {"content-encoding": "gzip"}},
            openai.APIStatusError,
            (415, "invalid_request_error", "invalid_parameter_error", None),
        ),
        (
            "roomy",
            {"user": "x" * BODY_LIMIT},
            openai.APIStatusError,
            (413, "invalid_request_error", "request_too_large", None),
        ),
    ],
)
def test_calls_that_cannot_be_are_refused_by_name(client, received, model, more, error, expected):
    with pytest.raises(error) as caught:
        ask(client, model, **more)
    assert told(caught.value) == expected
    check_made_here(caught.value)
    assert received() == []


def test_a_body_that_is_no_json_is_told_where(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/chat/completions", content=b'{"model":"qwen", }', cast_to=object)
    assert caught.value.body["message"].endswith("Not valid JSON at byte 17.")
    check_made_here(caught.value)


def test_what_is_not_served_is_not_found(client, received):
    with pytest.raises(openai.NotFoundError) as caught:
        client.images.generate(model="roomy", prompt="a lock gate")
    assert (caught.value.code, caught.value.body["message"]) == ("not_found", "Not found!")
    check_made_here(caught.value)
    with pytest.raises(openai.APIStatusError) as caught:
        client.get("/chat/completions", cast_to=object)
    assert caught.value.status_code == 405 and caught.value.response.headers["allow"] == "POST"
    check_made_here(caught.value)
    assert received() == []


def test_an_unknown_key_is_told_so(sluice):
    with connect(sluice.gateway_url, "sk-nobody") as stranger:
        for call in (lambda: ask(stranger), stranger.models.list):
            with pytest.raises(openai.AuthenticationError) as caught:
                call()
            assert told(caught.value) == (401, "invalid_request_error", "invalid_api_key", None)
            check_made_here(caught.value)


CODES = {
    "requests": ("limit_requests", "limit_requests"),
    "tokens": ("insufficient_quota", "insufficient_quota"),
    "surge": ("limit_burst_rate", "limit_burst_rate"),
}
OPENAI_CODES = {
    "requests": ("requests", "rate_limit_exceeded"),
    "tokens": ("tokens", "rate_limit_exceeded"),
    "surge": ("requests", "rate_limit_exceeded"),
}
KINDS = [("second", "requests"), ("minute", "requests"), ("tokens", "tokens"), ("surge", "surge")]


@pytest.mark.parametrize(("kind", "cause"), KINDS)
@pytest.mark.parametrize("dialect", ["dashscope", "openai"])
def test_a_refusal_says_which_limit_and_when(sluice, key, openai_key, dialect, kind, cause):
    with connect(sluice.gateway_url, openai_key if dialect == "openai" else key) as it:
        error = refused(it, cell(kind, "openai"), max_tokens=20)
    assert isinstance(error, openai.RateLimitError)
    assert (error.type, error.code) == (OPENAI_CODES if dialect == "openai" else CODES)[cause]
    check_made_here(error)
    check_limited(error.response.headers, cause, error.body["message"], error.body["details"])
    # A client that takes DashScope's word for a minute's tokens as the word for no money has another to go by.
    assert ("billing" in error.body["message"]) == (cause == "tokens" and dialect == "dashscope")


@pytest.mark.parametrize(("kind", "cause"), [("tiny", "tokens"), ("closed", "requests")])
@pytest.mark.parametrize("dialect", ["dashscope", "openai"])
def test_the_sdk_does_not_insist_on_what_can_never_be(proxy, key, openai_key, dialect, kind, cause):
    model = cell(kind, "openai")
    with connect(proxy.url, openai_key if dialect == "openai" else key, max_retries=3) as it:
        with pytest.raises(openai.RateLimitError) as caught:
            ask(it, model)
    assert proxy.attempts == [(model, 429)]
    error = caught.value
    assert (error.type, error.code) == (OPENAI_CODES if dialect == "openai" else CODES)[cause]
    check_made_here(error)
    check_for_good(error.response.headers, error.body["message"], error.body["details"])


@pytest.mark.parametrize("kind", ["second", "tokens", "surge"])
def test_the_sdk_comes_back_when_it_was_told_to_and_is_let_in(counted, received, kind):
    it, attempts = counted
    model = cell(kind, "openai")
    while (model, 429) not in attempts:
        assert ask(it, model, max_tokens=20).choices
    assert len(attempts) <= TOO_MANY + 1
    assert attempts[-2:] == [(model, 429), (model, 200)]
    assert received()[-1]["headers"]["x-stainless-retry-count"] == "1"


def test_an_error_of_the_provider_passes_and_is_tried_again(counted, stand_in, received):
    it, attempts = counted
    stand_in.script("status=503; header=retry-after-ms: 10")
    assert ask(it).choices
    assert attempts == [("roomy", 503), ("roomy", 200)] and len(received()) == 2


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (400, openai.BadRequestError, "invalid_parameter_error"),
        (403, openai.PermissionDeniedError, "access_denied"),
        (404, openai.NotFoundError, "model_not_found"),
        (429, openai.RateLimitError, "insufficient_quota"),
        (500, openai.InternalServerError, "internal_error"),
        (503, openai.InternalServerError, "model_serving_error"),
    ],
)
def test_an_error_of_the_provider_keeps_its_own_words(client, status, error, code):
    with pytest.raises(error) as caught:
        ask(client, extra_headers={"x-stand-in": f"status={status}; header=retry-after: 7"})
    assert (caught.value.status_code, caught.value.code) == (status, code)
    headers = caught.value.response.headers
    assert (headers["x-sluice-origin"], headers["retry-after"]) == ("provider", "7")
    assert caught.value.request_id == headers["x-request-id"] != headers["x-sluice-upstream-request-id"]


@pytest.mark.parametrize(
    ("model", "sentence", "should_retry"),
    [
        ("unreachable", "Provider unreachable cannot be reached.", "true"),
        ("locked", "The provider refused the gateway's credential.", "false"),
    ],
)
def test_a_provider_that_cannot_be_asked(client, model, sentence, should_retry):
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client, model)
    assert told(caught.value) == (502, "server_error", "model_service_failed", None)
    assert caught.value.body["message"] == UPSTREAM + sentence
    assert caught.value.response.headers["x-should-retry"] == should_retry
    check_made_here(caught.value)


def test_a_provider_that_says_nothing(impatient):
    with connect(*impatient) as it, pytest.raises(openai.InternalServerError) as caught:
        ask(it, extra_headers={"x-stand-in": "delay-ms=60000"})
    assert told(caught.value) == (504, "server_error", "request_timeout", None)
    assert caught.value.body["message"] == SILENT + "Provider dashscope sent nothing for 1 s."
    assert "x-should-retry" not in caught.value.response.headers
    check_made_here(caught.value)


def test_a_gateway_that_is_about_to_stop(draining):
    with connect(*draining) as it, pytest.raises(openai.InternalServerError) as caught:
        ask(it)
    assert told(caught.value) == (503, "server_error", "model_unavailable", None)
    assert caught.value.body["message"].startswith(DRAINING)
    headers = caught.value.response.headers
    assert [headers[it] for it in ("retry-after", "retry-after-ms", "x-should-retry")] == ["1", "1000", "true"]
    check_made_here(caught.value)


# What was said before the trouble arrives, and then the trouble, each time as the SDK's own exception.
TROUBLE = [
    ("error-event=3", "insufficient_quota", None),
    ("error-event=3:503", "model_serving_error", None),
    ("break-after=3", "model_service_failed", BROKE_OFF),
    ("break-inside=3", "model_service_failed", BROKE_OFF),
    ("end-after=3", "model_service_failed", BROKE_OFF),
]


@pytest.mark.parametrize(("behaviour", "code", "message"), TROUBLE)
@pytest.mark.parametrize("method", ["chat", "completions"])
def test_trouble_inside_a_stream_is_an_error_not_an_end(client, method, behaviour, code, message):
    more = {"model": "roomy", "stream": True, "extra_headers": {"x-stand-in": behaviour}}
    stream = (
        client.chat.completions.create(messages=QUESTION, **more)
        if method == "chat"
        else client.completions.create(prompt="Who are you?", **more)
    )
    chunks = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in stream:
            chunks.append(chunk)
    assert len(chunks) == 3 and caught.value.code == code
    assert message is None or caught.value.message == message


@pytest.mark.parametrize(("behaviour", "code", "message"), TROUBLE)
def test_trouble_inside_a_stream_of_responses_is_its_last_event(client, behaviour, code, message):
    more = {"extra_headers": {"x-stand-in": behaviour}}
    events = list(client.responses.create(model="roomy", input="Who are you?", stream=True, **more))
    assert [it.sequence_number for it in events] == [0, 1, 2, 3]
    assert (events[-1].type, events[-1].code) == ("error", code)
    assert message is None or events[-1].message == message


def test_a_stream_that_falls_silent_ends_with_an_error(impatient):
    with connect(*impatient) as it, pytest.raises(openai.APIError) as caught:
        list(ask(it, stream=True, extra_headers={"x-stand-in": "silence-after=3"}))
    assert caught.value.code == "request_timeout"
    assert caught.value.message == SILENT + "Provider dashscope sent nothing for 1 s."


def test_throttling_as_the_first_event_is_an_error_too(client):
    with pytest.raises(openai.APIError) as caught:
        list(ask(client, stream=True, extra_headers={"x-stand-in": "error-event=0"}))
    assert caught.value.code == "insufficient_quota"


def test_an_answer_that_is_no_json_passes_as_it_came(client):
    answer = client.chat.completions.with_raw_response.create(
        model="roomy", messages=QUESTION, extra_headers={"x-stand-in": "garbage"}
    )
    assert answer.status_code == 200 and answer.text.startswith("<html>")
