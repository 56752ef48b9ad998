"""The official dashscope SDK, as its users set it up: a base URL, a key, nothing else. It raises nothing for what an
API answers: an answer has a status, and beside 200 a code and a message."""

import dashscope

MESSAGES = [{"role": "user", "content": "Who are you?"}]


def ask(model="roomy", **more):
    prompt = {} if "messages" in more else {"prompt": "Who are you?"}
    return dashscope.Generation.call(model=model, **prompt, **more)


def acting(behaviour):
    """What makes the stand-in provider suffer something, as an argument of a call."""
    return {"headers": {"x-stand-in": behaviour}}
