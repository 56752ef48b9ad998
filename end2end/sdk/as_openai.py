"""The official openai SDK, as its users set it up: a base URL, a key, nothing else."""

import openai

QUESTION = [{"role": "user", "content": "Who are you?"}]


def connect(url, key, **more):
    return openai.OpenAI(base_url=url + "/v1", api_key=key, **{"max_retries": 0, "timeout": 20} | more)


def ask(client, model="roomy", **more):
    return client.chat.completions.create(model=model, messages=QUESTION, **more)
