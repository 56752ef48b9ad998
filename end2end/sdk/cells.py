"""The models of the SDK tests: one for each kind of limit and each SDK, so that no test uses up another's quota."""

from harness import model_table

SPEAKERS = ("openai", "dashscope", "anthropic", "node", "ai")

ROOMY = {"rpm": 60_000, "tpm": 10_000_000}

# What the kinds allow, for the account.
KINDS = {
    # One call in any sliding second.
    "second": ROOMY | {"rpm": 60},
    # One call in any sliding minute.
    "minute": ROOMY | {"rpm": 1},
    # 50 tokens in any sliding second.
    "tokens": ROOMY | {"tpm": 3000},
    # Four calls a second, of which more than `SURGE_FLOOR` come too suddenly.
    "surge": ROOMY | {"rpm": 240},
    # Less than any prompt.
    "tiny": ROOMY | {"tpm": 2},
    # None for the workspace.
    "closed": ROOMY,
    # One call in any sliding minute, and another model to go on with.
    "backed": ROOMY | {"rpm": 1, "backup": "roomy"},
}
SURGE_FLOOR = 2

# Models that no limit stops.
PLAIN = {
    "roomy": {},
    # The dashscope SDK reads from a name what such a model can do.
    "roomy-omni": {},
    # The provider calls it otherwise.
    "renamed": {"upstream": "of-the-provider"},
    # Only the account has it.
    "not-granted": {},
    # Its provider speaks only what its name says.
    "compatible-only": {"provider": "compatible"},
    "native-only": {"provider": "native"},
    # Nobody listens there.
    "unreachable": {"provider": "unreachable"},
    # The gateway has no credential for it.
    "locked": {"provider": "locked"},
}


def cell(kind, speaker):
    """The model of one kind that belongs to one SDK."""
    assert kind in KINDS and speaker in SPEAKERS
    return f"{kind}-{speaker}"


def tables():
    """All models and the workspace that may call them, for `sluice apply`."""
    cells = {cell(kind, speaker): more for kind, more in KINDS.items() for speaker in SPEAKERS}
    models = {code: ROOMY | more for code, more in PLAIN.items()} | cells
    grants = [f'{{ code = "{code}" }}' for code in models if code != "not-granted" and not code.startswith("closed")]
    grants += [f'{{ code = "{cell("closed", speaker)}", rpm = 0 }}' for speaker in SPEAKERS]
    text = "".join(model_table(code, **more) for code, more in models.items())
    return text + f'\n[[workspace]]\nname = "search"\nmodels = [ {", ".join(grants)} ]\n'
