"""Files, batches and tasks, which official SDKs take from beginning to end, and which belong to one workspace."""

import json

import dashscope
import openai
import pytest
from as_dashscope import acting
from as_openai import QUESTION, connect
from cells import cell


@pytest.fixture
def client(sluice, key):
    with connect(sluice.gateway_url, key) as it:
        yield it


@pytest.fixture(scope="session")
def stranger_key(sluice):
    """A key of another workspace, which may call every model."""
    return sluice.key("default")


@pytest.fixture
def stranger(sluice, stranger_key):
    with connect(sluice.gateway_url, stranger_key) as it:
        yield it


def line(custom_id, model):
    body = {"model": model, "messages": QUESTION, "max_tokens": 5}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body})


def upload(client, *models):
    lines = [line(str(n), model) for n, model in enumerate(models)]
    return client.files.create(file=("calls.jsonl", "\n".join(lines).encode()), purpose="batch")


def begin(client, file):
    more = {"completion_window": "24h", "metadata": {"team": "search"}}
    return client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", **more)


def test_a_batch_from_its_file_to_its_answers(client, received):
    file = upload(client, "roomy", "renamed", "roomy")
    assert (file.purpose, file.filename) == ("batch", "calls.jsonl")
    (uploaded,) = received()
    assert uploaded["headers"]["authorization"] == "Bearer sk-of-the-provider"
    assert [uploaded["body"].count(it) for it in ('"model": "roomy"', '"model": "renamed"')] == [2, 0]
    assert uploaded["body"].count('"of-the-provider"') == 1
    assert client.files.retrieve(file.id) == file
    assert file.id in [it.id for it in client.files.list()]

    batch = begin(client, file)
    assert (batch.status, batch.metadata) == ("validating", {"team": "search"})
    batch = client.batches.retrieve(batch.id)
    assert (batch.status, batch.request_counts.completed) == ("completed", 3)
    assert batch.id in [it.id for it in client.batches.list()]
    answers = [json.loads(it) for it in client.files.content(batch.output_file_id).text.splitlines()]
    assert [it["custom_id"] for it in answers] == ["0", "1", "2"]
    assert all(it["response"]["body"]["usage"]["completion_tokens"] == 5 for it in answers)

    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


def test_a_batch_is_exempt_from_the_limits_of_its_model(client):
    model = cell("minute", "openai")
    batch = begin(client, upload(client, *[model] * 5))
    assert client.batches.retrieve(batch.id).request_counts.completed == 5


def test_a_batch_can_be_given_up(client):
    batch = begin(client, upload(client, "roomy"))
    assert client.batches.cancel(batch.id).status == "cancelled"
    assert client.batches.retrieve(batch.id).status == "cancelled"


@pytest.mark.parametrize(
    ("model", "error", "code"),
    [
        ("not-granted", openai.PermissionDeniedError, "Model.AccessDenied"),
        ("nowhere", openai.NotFoundError, "model_not_found"),
        ("native-only", openai.NotFoundError, "model_not_supported"),
    ],
)
def test_a_line_that_is_refused_refuses_the_file_and_is_named(client, model, error, code):
    with pytest.raises(error) as caught:
        upload(client, "roomy", model, "roomy")
    assert caught.value.code == code and caught.value.body["message"].endswith("Line 2 of the file.")
    assert caught.value.response.headers["x-sluice-origin"] == "gateway"


def test_what_belongs_to_a_workspace_is_nowhere_for_others(client, stranger, received):
    file = upload(client, "roomy")
    batch = begin(client, file)
    output = client.batches.retrieve(batch.id).output_file_id
    asked = len(received())
    for attempt in (
        lambda: stranger.files.retrieve(file.id),
        lambda: stranger.files.content(output),
        lambda: stranger.files.delete(output),
        lambda: stranger.batches.retrieve(batch.id),
        lambda: stranger.batches.cancel(batch.id),
        lambda: begin(stranger, file),
    ):
        with pytest.raises(openai.NotFoundError) as caught:
            attempt()
        assert caught.value.code == "not_found"
    assert len(received()) == asked, "what is not one's own is not asked for"
    assert file.id not in [it.id for it in stranger.files.list()]
    assert batch.id not in [it.id for it in stranger.batches.list()]


def test_a_task_of_the_native_dialect(native, sluice, key, stranger_key, received):
    native(sluice.gateway_url, key)
    task = dashscope.ImageSynthesis.async_call(model="roomy", prompt="a lock gate")
    assert (task.status_code, task.output.task_status) == (200, "PENDING")
    assert received()[0]["headers"]["x-dashscope-async"] == "enable"
    for answer in (dashscope.ImageSynthesis.fetch(task), dashscope.ImageSynthesis.wait(task)):
        assert (answer.status_code, answer.output.task_status) == (200, "SUCCEEDED")
        assert answer.output.task_id == task.output.task_id
    asked = len(received())
    for foreign in (
        dashscope.ImageSynthesis.fetch(task, api_key=stranger_key),
        dashscope.ImageSynthesis.fetch("no-such-task"),
    ):
        assert (foreign.status_code, foreign.code) == (404, "NotFound")
        assert foreign.request_id == foreign.headers["x-request-id"]
    assert len(received()) == asked


def test_a_task_is_limited_like_any_call(native, sluice, key):
    native(sluice.gateway_url, key)
    model = cell("minute", "dashscope")
    answers = [dashscope.ImageSynthesis.async_call(model=model, prompt="a lock gate") for _ in range(2)]
    assert (answers[1].status_code, answers[1].code) == (429, "Throttling.RateQuota")


def test_embeddings_in_a_task(native, sluice, key):
    native(sluice.gateway_url, key)
    done = dashscope.BatchTextEmbedding.call(model="roomy", url="https://example.invalid/lines.txt")
    assert (done.status_code, done.output.task_status) == (200, "SUCCEEDED")
    refused = dashscope.BatchTextEmbedding.async_call(
        model="roomy", url="https://example.invalid/lines.txt", **acting("status=400")
    )
    assert (refused.status_code, refused.code) == (400, "InvalidParameter")
