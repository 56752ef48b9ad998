"""The official anthropic SDK, as its users set it up: a base URL, a key, nothing else."""

import anthropic

QUESTION = [{"role": "user", "content": "Who are you?"}]


def connect(url, key, **more):
    return anthropic.Anthropic(base_url=url, **{"api_key": key, "max_retries": 0, "timeout": 20} | more)


def ask(client, model="roomy", **more):
    return client.messages.create(**{"model": model, "max_tokens": 64, "messages": QUESTION} | more)
