"""What all SDK tests share: one provider, one installation in front of it, and the words of its refusals."""

import dashscope
import pytest
from cells import SURGE_FLOOR, tables
from harness import CountingProxy, Sluice, StandIn, free_ports, model_table, provider_table, wait_for

PROVIDER_CREDENTIAL = "sk-of-the-provider"
BODY_LIMIT = 64 << 10


@pytest.fixture(scope="session")
def stand_in():
    it = StandIn("--credential", PROVIDER_CREDENTIAL)
    yield it
    it.stop()


def providers(stand_in):
    """The provider as it should be, and in every way in which it can be wrong."""
    urls = stand_in.urls()
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    credential = {"api_key_file": "credential"}
    return "\n".join(
        [
            provider_table("dashscope", **urls, **credential),
            provider_table("compatible", openai_base_url=urls["openai_base_url"], **credential),
            provider_table("native", dashscope_base_url=urls["dashscope_base_url"], **credential),
            provider_table("unreachable", **{name: nobody + "/v1" for name in urls}),
            provider_table("locked", **urls),
        ]
    )


@pytest.fixture(scope="session")
def sluice(stand_in, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sluice")
    (folder / "credential").write_text(PROVIDER_CREDENTIAL)
    it = Sluice(folder, providers(stand_in) + tables(), surge_floor=SURGE_FLOOR, max_body_bytes=BODY_LIMIT)
    yield it
    it.stop()


@pytest.fixture(scope="session")
def key(sluice):
    return sluice.key("search")


@pytest.fixture(scope="session")
def impatient(stand_in, tmp_path_factory):
    """An installation that waits a second for its provider and no longer: its address and a key."""
    folder = tmp_path_factory.mktemp("impatient")
    (folder / "credential").write_text(PROVIDER_CREDENTIAL)
    text = provider_table("dashscope", **stand_in.urls(), api_key_file="credential")
    text += model_table("roomy", rpm=60_000, tpm=10_000_000)
    it = Sluice(folder, text, first_byte_timeout_s=1, stream_silence_s=1)
    yield it.gateway_url, it.key("default")
    it.stop()


@pytest.fixture
def draining(stand_in, tmp_path):
    """An installation that was asked to stop while a call is running, and so takes no other: its address and a key."""
    (tmp_path / "credential").write_text(PROVIDER_CREDENTIAL)
    text = provider_table("dashscope", **stand_in.urls(), api_key_file="credential")
    text += model_table("roomy", rpm=60_000, tpm=10_000_000)
    it = Sluice(tmp_path, text)
    key = it.key("default")
    running = it.hold_a_stream(key)
    it.process.terminate()
    wait_for("it drains", lambda: it.readiness() == 503)
    yield it.gateway_url, key
    running.close()
    it.stop()


@pytest.fixture
def received(stand_in):
    """What the provider received during this test."""
    stand_in.clear()
    return stand_in.log


@pytest.fixture
def proxy(sluice):
    """A way to the gateway on which every attempt is noted."""
    it = CountingProxy(sluice.gateway_url)
    yield it
    it.stop()


@pytest.fixture
def hung_up(received):
    """Waits until the provider has seen its only client leave."""

    def wait():
        (call,) = received()
        return call["ended"] == "hung_up"

    return lambda: wait_for("the provider's call is dropped", wait)


@pytest.fixture
def native(monkeypatch):
    """Points the SDK, which has one setting for all, at a gateway."""

    def point(url, key):
        monkeypatch.setattr(dashscope, "base_http_api_url", url + "/api/v1")
        monkeypatch.setattr(dashscope, "api_key", key)

    return point
