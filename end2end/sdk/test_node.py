"""The SDKs for Node: their tests are written in JavaScript, and run against the same installation. Both SDKs name Node 22
as the oldest they support; what is tested here works with 20 as well."""

import os
import pathlib
import re
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent / "node"


@pytest.mark.parametrize("file", ["openai.test.mjs", "ai.test.mjs"])
def test_an_sdk_for_node(sluice, key, stand_in, impatient, file):
    impatient_url, impatient_key = impatient
    environment = os.environ | {
        "GATEWAY_URL": sluice.gateway_url,
        "GATEWAY_KEY": key,
        "GATEWAY_OPENAI_KEY": sluice.key("search", "--error-dialect", "openai"),
        "IMPATIENT_URL": impatient_url,
        "IMPATIENT_KEY": impatient_key,
        "STAND_IN_URL": stand_in.url,
    }
    command = ["node", "--test", "--test-reporter=tap", str(HERE / file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"^# pass (\d+)$", done.stdout, re.M)[1]) > 0, done.stdout
