"""Installations for measurements: a folder, a database of either engine, the program, a stand-in provider, and HTTP to it.

Everything is private to the run and ended with it; nothing of a running service is touched.
"""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
TICKS = os.sysconf("SC_CLK_TCK")

EMAIL, PASSWORD = "owner@bench.example", "correct horse battery"


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def wait(what, met, seconds=30, child=None):
    end = time.monotonic() + seconds
    while not met():
        if child is not None and child.poll() is not None:
            raise SystemExit(f"{what}: the process ended with {child.returncode}")
        if time.monotonic() > end:
            raise SystemExit(f"{what}: not within {seconds} s")
        time.sleep(0.01)


def cpu_s(pid):
    """CPU seconds of a process and of those it has started."""
    total, parents, used = 0.0, {}, {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = pathlib.Path(f"/proc/{name}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # Ended in the meantime.
        parents.setdefault(int(fields[1]), []).append(int(name))
        used[int(name)] = (int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])) / TICKS
    found = [pid]
    for it in found:
        found += parents.get(it, [])
        total += used.get(it, 0.0)
    return total


def resident_mib(pid):
    fields = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", fields).group(1)) / 1024


class Postgres:
    """A private PostgreSQL. It refuses to run as root, so root starts it as user postgres."""

    def __init__(self, folder, options=()):
        self.folder = pathlib.Path(folder)
        self.programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        self.port = free_port()
        self.options = list(options)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if self.as_user:
            shutil.chown(self.folder, "postgres")
        if not (self.folder / "data").exists():
            self.run("initdb", "--no-sync", "--auth=trust", "--username=sluice", "--encoding=UTF8", "--locale=C.UTF-8",
                     "-D", self.folder / "data")
        self.start()

    def run(self, program, *arguments, check=True):
        command = [*self.as_user, self.programs / program, *arguments]
        return subprocess.run(command, cwd="/", check=check, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def start(self):
        options = [it for pair in self.options for it in ("-c", pair)]
        self.process = subprocess.Popen(
            [*self.as_user, self.programs / "postgres", "-D", self.folder / "data", "-k", self.folder, "-p", str(self.port),
             "-c", "listen_addresses=127.0.0.1", *options],
            cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ready = ["-q", "-h", self.folder, "-p", str(self.port), "-U", "sluice", "-d", "postgres"]
        wait("PostgreSQL", lambda: self.run("pg_isready", *ready, check=False).returncode == 0, 60)

    def stop(self, how="immediate"):
        self.run("pg_ctl", "stop", "-m", how, "-s", "-D", self.folder / "data", check=False)
        self.process.wait()

    def database(self, name):
        done = self.run("createdb", "-h", self.folder, "-p", str(self.port), "-U", "sluice", name, check=False)
        if done.returncode and b"already exists" not in done.stderr:
            raise SystemExit(done.stderr.decode())
        return f"postgres://sluice@127.0.0.1:{self.port}/{name}?sslmode=disable"

    def ask(self, name, sql):
        command = [self.programs / "psql", "-h", self.folder, "-p", str(self.port), "-U", "sluice", "-d", name, "-Atc", sql]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Installation:
    def __init__(self, folder=None, database=None):
        self.own = folder is None
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="sluice-bench-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.console, self.gateway = free_port(), free_port()
        self.database = database or f"sqlite://{self.folder}/data/sluice.db"
        self.child, self.cookie = None, ""
        self.provider = subprocess.Popen([BUILT / "stand-in", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
        line = self.provider.stdout.readline()
        self.provider_url = re.search(r"http://\S+", line).group(0).rstrip("/").removesuffix("/v1")

    def environment(self):
        return {
            **os.environ,
            "SLUICE_CONSOLE_ADDR": f"127.0.0.1:{self.console}",
            "SLUICE_GATEWAY_ADDR": f"127.0.0.1:{self.gateway}",
            "SLUICE_DATABASE_URL": self.database,
            "SLUICE_LOG": "warn",
        }

    def run(self, *arguments, text="", check=True):
        done = subprocess.run([BUILT / "sluice", *arguments], cwd=self.folder, env=self.environment(), input=text,
                              capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise SystemExit(f"{arguments}: {done.stderr}")
        return done.stdout

    def apply(self, toml):
        (self.folder / "models.toml").write_text(toml)
        self.run("apply", "models.toml")

    def owner(self):
        self.run("user", "create", "--email", EMAIL, "--role", "owner", "--password-stdin", text=PASSWORD)

    def key(self, workspace):
        return self.run("key", "create", "--workspace", workspace).strip()

    def serve(self):
        """Starts the product; seconds until a call could be answered."""
        began = time.monotonic()
        self.log = open(self.folder / "serve.log", "ab")
        self.child = subprocess.Popen([BUILT / "sluice", "serve"], cwd=self.folder, env=self.environment(),
                                      stdout=self.log, stderr=self.log)
        wait("sluice", self.ready, 60, self.child)
        return time.monotonic() - began

    def ready(self):
        try:
            return self.get(self.gateway, "/readyz")[0] == 200
        except OSError:
            return False

    def stop(self, how=signal.SIGTERM):
        if self.child is not None:
            self.child.send_signal(how)
            self.child.wait()
            self.child = None

    def close(self):
        self.stop(signal.SIGKILL)
        self.provider.kill()
        self.provider.wait()
        if self.own:
            shutil.rmtree(self.folder, ignore_errors=True)

    def get(self, port, path, headers=None, connection=None):
        """Status, body, seconds to the first byte and to the last."""
        it = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        began = time.perf_counter()
        it.request("GET", path, headers={"cookie": self.cookie, "accept": "text/html", **(headers or {})})
        answer = it.getresponse()
        first = time.perf_counter() - began
        body = answer.read()
        whole = time.perf_counter() - began
        if connection is None:
            it.close()
        return answer.status, body, first, whole

    def form(self, path, fields):
        it = http.client.HTTPConnection("127.0.0.1", self.console, timeout=60)
        it.request("POST", path, urllib.parse.urlencode(fields), {
            "content-type": "application/x-www-form-urlencoded", "accept": "application/json", "cookie": self.cookie,
            "origin": f"http://127.0.0.1:{self.console}"})
        answer = it.getresponse()
        return answer.status, answer.read().decode(), answer.getheader("set-cookie")

    def sign_in(self):
        status, body, cookie = self.form("/api/sign-in", {"email": EMAIL, "password": PASSWORD})
        if status != 200:
            raise SystemExit(f"sign-in: {status} {body}")
        self.cookie = cookie.split(";")[0]

    def report(self, length="24h"):
        return json.loads(self.run("report", "--range", length, "--format", "json"))


class Load(threading.Thread):
    """Calls at a steady pace until told to stop; what each was answered is counted."""

    def __init__(self, installation, key, model, a_second):
        super().__init__(daemon=True)
        self.installation, self.key, self.model, self.pause = installation, key, model, 1 / a_second
        self.statuses, self.slowest, self.stopping = {}, 0.0, threading.Event()

    def run(self):
        body = json.dumps({"model": self.model, "messages": [{"role": "user", "content": "Who are you?"}], "max_tokens": 5})
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        connection = None
        while not self.stopping.is_set():
            began = time.perf_counter()
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.installation.gateway, timeout=60)
                connection.request("POST", "/v1/chat/completions", body, headers)
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException):
                connection, status = None, "none"
            took = time.perf_counter() - began
            self.slowest = max(self.slowest, took)
            self.statuses[status] = self.statuses.get(status, 0) + 1
            time.sleep(max(0.0, self.pause - took))

    def stop(self):
        self.stopping.set()
        self.join()
        return self.statuses
