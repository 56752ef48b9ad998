"""The official anthropic SDK, unchanged but for its base URL: refusals, retries, and trouble."""

import anthropic
import pytest
from as_anthropic import QUESTION, ask, connect
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


def check_made_here(error):
    assert error.body["type"] == "error"
    headers = error.response.headers
    assert error.request_id == headers["request-id"]
    check_gateway_made(headers, error.body["request_id"])


def told(error):
    return (error.status_code, error.type, error.body["error"]["message"])


@pytest.mark.parametrize(
    ("model", "more", "error", "expected"),
    [
        (
            "not-granted",
            {},
            anthropic.PermissionDeniedError,
            (
                403,
                "permission_error",
                "Your API key does not have permission to use the specified resource. "
                "Workspace search has no permission for model not-granted.",
            ),
        ),
        ("nowhere", {}, anthropic.NotFoundError, (404, "not_found_error", "model: nowhere")),
        (
            "native-only",
            {},
            anthropic.NotFoundError,
            (404, "not_found_error", "model: native-only is not offered on the Anthropic endpoints"),
        ),
        ("", {}, anthropic.BadRequestError, (400, "invalid_request_error", "model: Field required")),
        (
            "roomy",
            {"max_tokens": None},
            anthropic.BadRequestError,
            (400, "invalid_request_error", "max_tokens: Field required"),
        ),
        (
            "roomy",
            {"max_tokens": -1},
            anthropic.BadRequestError,
            (400, "invalid_request_error", "max_tokens: Input should be an integer in [0, 4294967295]"),
        ),
        (
            "roomy",
            {"system": "x" * BODY_LIMIT},
            anthropic.RequestTooLargeError,
            (
                413,
                "request_too_large",
                f"Request exceeds the maximum allowed number of bytes. At most {BODY_LIMIT} bytes are accepted.",
            ),
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
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.post("/v1/messages", content=b'{"model":"qwen", }', cast_to=object)
    assert told(caught.value)[2] == "The request body is not valid JSON at byte 17."
    check_made_here(caught.value)


def test_what_is_not_served_is_not_found(client, received):
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.messages.count_tokens(model="roomy", messages=QUESTION)
    assert told(caught.value) == (404, "not_found_error", "Not found")
    check_made_here(caught.value)
    assert received() == []


def test_an_unknown_key_is_told_so(sluice, key):
    # The SDK's own header wins over the other, even when that one would do.
    more = {"extra_headers": {"authorization": f"Bearer {key}"}}
    with connect(sluice.gateway_url, "sk-nobody") as stranger:
        with pytest.raises(anthropic.AuthenticationError) as caught:
            ask(stranger, **more)
    assert told(caught.value) == (401, "authentication_error", "invalid x-api-key")
    check_made_here(caught.value)


@pytest.mark.parametrize(
    ("kind", "cause"), [("second", "requests"), ("minute", "requests"), ("tokens", "tokens"), ("surge", "surge")]
)
def test_a_refusal_says_which_limit_and_when(client, kind, cause):
    with pytest.raises(anthropic.RateLimitError) as caught:
        for _ in range(TOO_MANY):
            ask(client, cell(kind, "anthropic"), max_tokens=20)
    status, type, message = told(caught.value)
    assert (status, type) == (429, "rate_limit_error")
    check_made_here(caught.value)
    check_limited(caught.value.response.headers, cause, message, caught.value.body["error"]["details"])


@pytest.mark.parametrize("kind", ["tiny", "closed"])
def test_the_sdk_does_not_insist_on_what_can_never_be(counted, kind):
    it, attempts = counted
    model = cell(kind, "anthropic")
    with pytest.raises(anthropic.RateLimitError) as caught:
        ask(it, model)
    assert attempts == [(model, 429)]
    check_made_here(caught.value)
    error = caught.value.body["error"]
    check_for_good(caught.value.response.headers, error["message"], error["details"])


@pytest.mark.parametrize("kind", ["second", "tokens", "surge"])
def test_the_sdk_comes_back_when_it_was_told_to_and_is_let_in(counted, received, kind):
    it, attempts = counted
    model = cell(kind, "anthropic")
    while (model, 429) not in attempts:
        assert ask(it, model, max_tokens=20).content
    assert len(attempts) <= TOO_MANY + 1
    assert attempts[-2:] == [(model, 429), (model, 200)]
    assert received()[-1]["headers"]["x-stainless-retry-count"] == "1"


@pytest.mark.parametrize(
    ("status", "error", "type"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (403, anthropic.PermissionDeniedError, "permission_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (503, anthropic.InternalServerError, "overloaded_error"),
    ],
)
def test_an_error_of_the_provider_keeps_its_own_words(client, status, error, type):
    with pytest.raises(error) as caught:
        ask(client, extra_headers={"x-stand-in": f"status={status}; header=retry-after: 7"})
    assert told(caught.value)[:2] == (status, type)
    headers = caught.value.response.headers
    assert (headers["x-sluice-origin"], headers["retry-after"]) == ("provider", "7")
    assert caught.value.request_id == headers["request-id"] != headers["x-sluice-upstream-request-id"]


def test_an_error_of_the_provider_is_tried_again(counted, stand_in, received):
    it, attempts = counted
    stand_in.script("status=529; header=retry-after-ms: 10")
    assert ask(it).content
    assert attempts == [("roomy", 529), ("roomy", 200)] and len(received()) == 2


@pytest.mark.parametrize(
    ("model", "sentence", "should_retry"),
    [
        ("unreachable", "Provider unreachable cannot be reached.", "true"),
        ("locked", "The provider refused the gateway's credential.", "false"),
    ],
)
def test_a_provider_that_cannot_be_asked(client, model, sentence, should_retry):
    with pytest.raises(anthropic.InternalServerError) as caught:
        ask(client, model)
    assert told(caught.value) == (502, "api_error", UPSTREAM + sentence)
    assert caught.value.response.headers["x-should-retry"] == should_retry
    check_made_here(caught.value)


def test_a_provider_that_says_nothing(impatient):
    with connect(*impatient) as it, pytest.raises(anthropic.InternalServerError) as caught:
        ask(it, extra_headers={"x-stand-in": "delay-ms=60000"})
    assert told(caught.value) == (504, "timeout_error", SILENT + "Provider dashscope sent nothing for 1 s.")
    check_made_here(caught.value)


def test_a_gateway_that_is_about_to_stop(draining):
    with connect(*draining) as it, pytest.raises(anthropic.InternalServerError) as caught:
        ask(it)
    assert told(caught.value)[:2] == (503, "api_error")
    assert told(caught.value)[2].startswith(DRAINING)
    assert caught.value.response.headers["x-should-retry"] == "true"
    check_made_here(caught.value)


@pytest.mark.parametrize(
    ("behaviour", "type", "message"),
    [
        ("error-event=3", "rate_limit_error", None),
        ("error-event=3:503", "overloaded_error", None),
        ("break-after=3", "api_error", BROKE_OFF),
        ("break-inside=3", "api_error", BROKE_OFF),
        ("end-after=3", "api_error", BROKE_OFF),
    ],
)
def test_trouble_inside_a_stream_is_an_error_not_an_end(client, behaviour, type, message):
    events = []
    with pytest.raises(anthropic.APIStatusError) as caught:
        for event in ask(client, stream=True, extra_headers={"x-stand-in": behaviour}):
            events.append(event)
    # The SDK keeps pings to itself.
    assert [it.type for it in events] == ["message_start", "content_block_start"]
    assert (caught.value.status_code, caught.value.type) == (200, type)
    if message:
        assert caught.value.body["error"]["message"] == message
        assert caught.value.body["request_id"] == caught.value.request_id


def test_a_stream_that_falls_silent_ends_with_an_error(impatient):
    with connect(*impatient) as it, pytest.raises(anthropic.APIStatusError) as caught:
        list(ask(it, stream=True, extra_headers={"x-stand-in": "silence-after=4"}))
    assert caught.value.type == "timeout_error"
    assert caught.value.body["error"]["message"] == SILENT + "Provider dashscope sent nothing for 1 s."
