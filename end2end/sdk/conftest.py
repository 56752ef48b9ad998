"""What all SDK tests share: one provider and one installation, with a model for each kind of limit."""

import pytest
from harness import Sluice, StandIn, model_table, provider_table

PROVIDER_CREDENTIAL = "sk-of-the-provider"

LIMITS = {
    "roomy": {"rpm": 60000, "tpm": 10_000_000},
    # One call in any sliding second.
    "one-a-second": {"rpm": 60, "tpm": 10_000_000},
    "one-a-second-too": {"rpm": 60, "tpm": 10_000_000},
    "one-a-minute": {"rpm": 1, "tpm": 10_000_000},
    # Less than any prompt of these tests.
    "tiny": {"rpm": 60000, "tpm": 2},
    "closed": {"rpm": 60000, "tpm": 10_000_000},
    "not-granted": {"rpm": 60000, "tpm": 10_000_000},
}


@pytest.fixture(scope="session")
def stand_in():
    it = StandIn("--credential", PROVIDER_CREDENTIAL)
    yield it
    it.stop()


@pytest.fixture(scope="session")
def sluice(stand_in, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sluice")
    (folder / "credential").write_text(PROVIDER_CREDENTIAL)
    text = provider_table(stand_in, api_key_file="credential")
    text += "".join(model_table(code, **limits) for code, limits in LIMITS.items())
    grants = [f'{{ code = "{code}" }}' for code in LIMITS if code not in ("closed", "not-granted")]
    grants.append('{ code = "closed", rpm = 0 }')
    text += f'\n[[workspace]]\nname = "search"\nmodels = [ {", ".join(grants)} ]\n'
    it = Sluice(folder, text)
    yield it
    it.stop()


@pytest.fixture(scope="session")
def key(sluice):
    return sluice.key("search")


@pytest.fixture
def received(stand_in):
    """What the provider received during this test."""
    stand_in.clear()
    return stand_in.log
