"""The official dashscope SDK, unchanged but for its base URL: refusals and trouble. It tries nothing again."""

import asyncio

import dashscope
import pytest
from as_dashscope import acting, ask
from cells import cell
from conftest import BODY_LIMIT
from refusals import BROKE_OFF, DRAINING, SILENT, UPSTREAM, check_for_good, check_gateway_made, check_limited

# Calls in a row that none of the limits of a second allows.
TOO_MANY = 8


@pytest.fixture(autouse=True)
def at_the_gateway(native, sluice, key):
    native(sluice.gateway_url, key)


def told(answer):
    return (answer.status_code, answer.code, answer.message)


def refused(model, **more):
    """The refusal that comes when one goes on asking."""
    answers = (ask(model, **more) for _ in range(TOO_MANY))
    return next(it for it in answers if it.status_code != 200)


BODY = "Required body invalid, please check the request body format. "


@pytest.mark.parametrize(
    ("model", "more", "expected"),
    [
        (
            "not-granted",
            {},
            (
                403,
                "Model.AccessDenied",
                "Model access denied. Workspace search has no permission for model not-granted.",
            ),
        ),
        ("nowhere", {}, (404, "ModelNotFound", "Model can not be found. This account has no model nowhere.")),
        (
            "compatible-only",
            {},
            (
                404,
                "ModelNotFound",
                "Model can not be found. Model compatible-only is not offered on the native endpoints.",
            ),
        ),
        ("roomy", {"max_tokens": -1}, (400, "InvalidParameter", "Range of max_tokens should be [0, 4294967295]")),
        (
            "roomy",
            {"headers": {"X-DashScope-Wait-Timeout": "soon"}},
            (400, "InvalidParameter", BODY + "X-DashScope-Wait-Timeout must be a whole number of seconds."),
        ),
        (
            "roomy",
            {"stop": "x" * BODY_LIMIT},
            (413, "BadRequest.TooLarge", f"Payload Too Large. At most {BODY_LIMIT} bytes are accepted."),
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_calls_that_cannot_be_are_refused_by_name(received, model, more, expected, stream):
    answers = list(ask(model, stream=True, **more)) if stream else [ask(model, **more)]
    (answer,) = answers
    assert told(answer) == expected
    check_gateway_made(answer.headers, answer.request_id)
    assert received() == []


def test_what_is_not_served_is_not_found(received):
    answer = dashscope.Models.list()
    assert told(answer) == (404, "NotFound", "Not found!")
    assert received() == []


def test_an_unknown_key_is_told_so(received):
    answer = ask(api_key="sk-nobody")
    assert told(answer) == (401, "InvalidApiKey", "Invalid API-key provided.")
    check_gateway_made(answer.headers, answer.request_id)
    assert received() == []


@pytest.mark.parametrize(
    ("kind", "cause", "code"),
    [
        ("second", "requests", "Throttling.RateQuota"),
        ("minute", "requests", "Throttling.RateQuota"),
        ("tokens", "tokens", "Throttling.AllocationQuota"),
        ("surge", "surge", "Throttling.BurstRate"),
    ],
)
def test_a_refusal_says_which_limit_and_when(sluice, key, kind, cause, code):
    answer = refused(cell(kind, "dashscope"), max_tokens=20)
    assert (answer.status_code, answer.code) == (429, code)
    check_gateway_made(answer.headers, answer.request_id)
    check_limited(answer.headers, cause, answer.message, None)


@pytest.mark.parametrize(
    ("kind", "code"), [("tiny", "Throttling.AllocationQuota"), ("closed", "Throttling.RateQuota")]
)
def test_a_refusal_for_good_says_so(kind, code):
    answer = ask(cell(kind, "dashscope"))
    assert (answer.status_code, answer.code) == (429, code)
    check_gateway_made(answer.headers, answer.request_id)
    check_for_good(answer.headers, answer.message, None)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "InvalidParameter"),
        (403, "AccessDenied"),
        (429, "Throttling.AllocationQuota"),
        (500, "InternalError"),
        (503, "ModelServingError"),
    ],
)
def test_an_error_of_the_provider_keeps_its_own_words(status, code):
    answer = ask(**acting(f"status={status}; header=retry-after: 7"))
    assert (answer.status_code, answer.code) == (status, code)
    assert (answer.headers["x-sluice-origin"], answer.headers["retry-after"]) == ("provider", "7")


@pytest.mark.parametrize(
    ("model", "sentence", "should_retry"),
    [
        ("unreachable", "Provider unreachable cannot be reached.", "true"),
        ("locked", "The provider refused the gateway's credential.", "false"),
    ],
)
def test_a_provider_that_cannot_be_asked(model, sentence, should_retry):
    answer = ask(model)
    assert told(answer) == (502, "ModelServiceFailed", UPSTREAM + sentence)
    assert answer.headers["x-should-retry"] == should_retry
    check_gateway_made(answer.headers, answer.request_id)


def test_a_provider_that_says_nothing(native, impatient):
    native(*impatient)
    answer = ask(**acting("delay-ms=60000"))
    assert told(answer) == (504, "RequestTimeOut", SILENT + "Provider dashscope sent nothing for 1 s.")
    check_gateway_made(answer.headers, answer.request_id)


def test_a_gateway_that_is_about_to_stop(native, draining):
    native(*draining)
    answer = ask()
    assert (answer.status_code, answer.code) == (503, "ModelUnavailable")
    assert answer.message.startswith(DRAINING) and answer.headers["retry-after"] == "1"
    check_gateway_made(answer.headers, answer.request_id)


async def frames_of(**more):
    frames = await dashscope.AioGeneration.call(model="roomy", prompt="Who are you?", **more)
    return [it async for it in frames]


@pytest.mark.parametrize(
    ("behaviour", "code", "message"),
    [
        ("error-event=3", "Throttling.AllocationQuota", None),
        ("error-event=3:503", "ModelServingError", None),
        ("break-after=3", "ModelServiceFailed", BROKE_OFF),
        ("break-inside=3", "ModelServiceFailed", BROKE_OFF),
        ("end-after=3", "ModelServiceFailed", BROKE_OFF),
    ],
)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_trouble_inside_a_stream_is_its_last_answer(received, behaviour, code, message, asynchronous):
    more = {"stream": True, "incremental_output": True} | acting(behaviour)
    frames = asyncio.run(frames_of(**more)) if asynchronous else list(ask(**more))
    assert [it.status_code for it in frames[:-1]] == [200] * 3
    # Whatever the event says, the SDK calls it a 400.
    assert (frames[-1].status_code, frames[-1].code) == (400, code)
    if message:
        (call,) = received()
        assert (frames[-1].message, frames[-1].request_id) == (message, call["headers"]["x-request-id"])


def test_a_stream_that_falls_silent_ends_with_an_error(native, impatient):
    native(*impatient)
    frames = list(ask(stream=True, incremental_output=True, **acting("silence-after=3")))
    assert frames[-1].code == "RequestTimeOut"
    assert frames[-1].message == SILENT + "Provider dashscope sent nothing for 1 s."
