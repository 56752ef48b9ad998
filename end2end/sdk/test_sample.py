"""The sample of the provider's page on rate limits, as it stands there, but for address and key."""

import os
import pathlib
import re
import subprocess
import sys
from collections import Counter

import pytest
from harness import CountingProxy, Sluice, StandIn, model_table, provider_table, wait_for

SAMPLE = pathlib.Path(__file__).parent / "fixtures" / "fallback_sample.py"
BASE_URL = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"
MODEL, BACKUP = "qwen-plus-2025-07-28", "qwen-plus-2025-07-14"


@pytest.fixture
def installation(tmp_path):
    """Both models of the sample with the limits that the provider gives them, and nothing else."""
    stand_in = StandIn()
    text = provider_table("dashscope", **stand_in.urls()) + "".join(model_table(it, rpm=60, tpm=100_000) for it in (MODEL, BACKUP))
    sluice = Sluice(tmp_path, text)
    yield sluice
    sluice.stop()
    stand_in.stop()


def run(base_url, key):
    text = SAMPLE.read_text()
    assert text.count(BASE_URL) == 1
    done = subprocess.run(
        [sys.executable, "-"],
        input=text.replace(BASE_URL, base_url),
        env=os.environ | {"DASHSCOPE_API_KEY": key},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_sample_is_limited_falls_back_and_is_counted(installation):
    proxy = CountingProxy(installation.gateway_url)
    printed = run(proxy.url + "/compatible-mode/v1", installation.key("default"))
    proxy.stop()
    attempts = Counter(proxy.attempts)

    triggered = Counter(re.findall(r"^\[Rate limit triggered\] Model (\S+)$", printed, re.M))
    successful, failed = map(int, re.search(r"^Successful: (\d+), Failed: (\d+)$", printed, re.M).groups())
    assert triggered[MODEL] >= 1 and successful >= 2, printed
    assert successful + failed == 10 and failed == triggered[BACKUP]
    assert attempts[MODEL, 200] + attempts[BACKUP, 200] == successful
    assert {status for _, status in attempts} == {200, 429}

    def counted():
        report = installation.report()
        return report if report["summary"]["total_calls"] >= attempts.total() else None

    report = wait_for("the report has every attempt", counted)
    rows = {row["model"]: row for row in report["rows"]}
    for model in (MODEL, BACKUP):
        total = attempts[model, 200] + attempts[model, 429]
        assert (rows[model]["total_calls"], rows[model]["failed_calls"]) == (total, attempts[model, 429])
        assert rows[model]["failure_rate"] == pytest.approx(attempts[model, 429] / total)
    assert report["summary"]["total_models"] == 2
    assert report["summary"]["failures"] == attempts[MODEL, 429] + attempts[BACKUP, 429]
