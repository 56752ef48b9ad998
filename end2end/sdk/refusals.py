"""What every refusal has in common, whichever SDK reads it."""

PHRASES = {
    "requests": ("Requests rate limit exceeded, please try again later. ", "You exceeded your current requests list. "),
    "tokens": (
        "Allocated quota exceeded, please increase your quota limit. ",
        "You exceeded your current quota, please check your plan and billing details. ",
    ),
    "surge": ("Request rate increased too quickly. To ensure system stability, please adjust your client logic to ",),
}

UPSTREAM = "Failed to request model service. "
SILENT = "Request timed out, please try again later. "
DRAINING = "Model is unavailable, please try again later. "
BROKE_OFF = UPSTREAM + "The provider's stream broke off."


def check_gateway_made(headers, request_id):
    """It says who made it, and its id is the one in its body."""
    assert headers["x-sluice-origin"] == "gateway"
    assert headers["content-type"] == "application/json"
    assert request_id == headers["x-request-id"] and len(request_id) == 36


def check_limited(headers, cause, message, details):
    """A 429 that will pass: words, headers and details, where the SDK shows them, tell the same story."""
    assert message.startswith(PHRASES[cause]), message
    assert "; retry in " in message or cause == "tokens" and ", and this call needs " in message
    assert (headers["x-sluice-cause"], headers["x-sluice-scope"]) == (cause, "account")
    wait_ms = int(headers["retry-after-ms"])
    assert int(headers["retry-after"]) == max(1, -(-wait_ms // 1000))
    assert headers["x-should-retry"] == "true"
    if details is None:
        return
    first = details[0]
    assert (first["cause"], first["scope"]) == (cause, "account")
    assert str(first["window_s"]) == headers["x-sluice-window"]
    assert first["used"] + first["needed"] > first["limit"]
    assert wait_ms == max(it["retry_after_ms"] for it in details)


def check_for_good(headers, message, details):
    """A 429 that no waiting helps."""
    assert message.endswith(("it can never be admitted under this limit.", "no call is admitted.")), message
    assert details is None or details[0]["retry_after_ms"] is None
    assert headers["x-should-retry"] == "false"
    assert "retry-after" not in headers and "retry-after-ms" not in headers
