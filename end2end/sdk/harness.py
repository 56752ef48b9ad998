"""Starts the real processes that SDK tests talk to: the stand-in provider, sluice, and a proxy that counts attempts."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
SLUICE = os.environ.get("SLUICE_BIN", str(BUILT / "sluice"))
STAND_IN = os.environ.get("STAND_IN_BIN", str(BUILT / "stand-in"))
PATIENCE_S = 20
# What makes the stand-in send a stream that goes on for longer than anybody waits, and is never silent for long.
ENDLESS = {"x-stand-in": "output=8000; gap-ms=50"}


def wait_for(what, condition):
    """The first true value of `condition`, asked again and again."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {PATIENCE_S} s")
        time.sleep(0.02)


def get(url):
    """Status and text of a GET; 0 when nobody listens."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for it in sockets:
            it.bind(("127.0.0.1", 0))
        return [it.getsockname()[1] for it in sockets]


class StandIn:
    """The stand-in provider; `script` and `log` are its own door for tests."""

    def __init__(self, *args):
        command = [STAND_IN, "--listen", "127.0.0.1:0", "--log", "5000", *args]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert "http://" in line, f"{STAND_IN} did not start: {line!r}"
        self.url = line.split()[-1]

    def log(self):
        return json.loads(get(self.url + "/stand-in/log")[1])

    def clear(self):
        urllib.request.urlopen(urllib.request.Request(self.url + "/stand-in/log", method="DELETE")).close()

    def urls(self):
        """Its base URLs, by the names that `sluice apply` gives them."""
        return {
            "openai_base_url": self.url + "/compatible-mode/v1",
            "dashscope_base_url": self.url + "/api/v1",
            "anthropic_base_url": self.url + "/apps/anthropic",
        }

    def script(self, *lines):
        body = "\n".join(lines).encode()
        urllib.request.urlopen(urllib.request.Request(self.url + "/stand-in/script", data=body, method="PUT")).close()

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Sluice:
    """One installation in a folder of its own; `settings` by their names, without the prefix."""

    def __init__(self, folder, apply_text, **settings):
        self.folder = folder
        console, gateway = free_ports(2)
        self.console_url = f"http://127.0.0.1:{console}"
        self.gateway_url = f"http://127.0.0.1:{gateway}"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
        self.environment = inherited | {
            "SLUICE_CONSOLE_ADDR": f"127.0.0.1:{console}",
            "SLUICE_GATEWAY_ADDR": f"127.0.0.1:{gateway}",
            "SLUICE_DATABASE_URL": f"sqlite://{folder}/sluice.db",
            "SLUICE_SECRET_KEY_FILE": f"{folder}/secret.key",
        }
        self.environment |= {f"SLUICE_{name.upper()}": str(value) for name, value in settings.items()}
        (folder / "apply.toml").write_text(apply_text)
        self.run("apply", "apply.toml")
        self.output = open(folder / "serve.log", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [SLUICE, "serve"], cwd=folder, env=self.environment, stdout=self.output, stderr=subprocess.STDOUT
        )
        wait_for("sluice is ready", self.ready)

    def ready(self):
        assert self.process.poll() is None, f"sluice ended: {(self.folder / 'serve.log').read_text()}"
        return self.readiness() == 200

    def readiness(self):
        return get(self.gateway_url + "/readyz")[0]

    def run(self, *args):
        """A command on the same installation; its stdout."""
        done = subprocess.run([SLUICE, *args], cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, f"sluice {' '.join(args)}: {done.stdout}{done.stderr}"
        return done.stdout

    def key(self, workspace, *more):
        """A new key, as soon as the gateway takes it."""
        secret = self.run("key", "create", "--workspace", workspace, *more).strip()
        request = urllib.request.Request(self.gateway_url + "/v1/models", headers={"authorization": f"Bearer {secret}"})

        def known():
            try:
                with urllib.request.urlopen(request) as answer:
                    return answer.status == 200
            except urllib.error.HTTPError:
                return False

        wait_for("the new key is known", known)
        return secret

    def hold_a_stream(self, key):
        """A call whose answer has begun and does not end until the returned answer is closed."""
        body = {"model": "roomy", "messages": [{"role": "user", "content": "Who are you?"}], "stream": True}
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json", "x-stand-in": "silence-after=2"}
        request = urllib.request.Request(self.gateway_url + "/v1/chat/completions", json.dumps(body).encode(), headers)
        answer = urllib.request.urlopen(request, timeout=PATIENCE_S)
        assert answer.read(5) == b"data:"
        return answer

    def report(self):
        return json.loads(self.run("report", "--range", "1h", "--format", "json"))

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.output.close()


class CountingProxy:
    """Passes whole answers on and notes (model, status) of every HTTP attempt."""

    def __init__(self, target):
        self.attempts = []
        attempts, address = self.attempts, urlsplit(target)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                upstream = HTTPConnection(address.hostname, address.port)
                upstream.request("POST", self.path, body, {k: v for k, v in self.headers.items() if k.lower() != "host"})
                answer = upstream.getresponse()
                text = answer.read()
                attempts.append((json.loads(body)["model"], answer.status))
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                        self.send_header(name, value)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
                upstream.close()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def provider_table(name, **rows):
    """One `[[provider]]` part of a file for `sluice apply`."""
    return "\n[[provider]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in ({"name": name} | rows).items())


def model_table(code, **limits):
    """One `[[model]]` part."""
    rows = {"code": code, "provider": "dashscope"} | limits
    return "\n[[model]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in rows.items())
