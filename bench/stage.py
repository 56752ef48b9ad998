"""What is measured: the stand-in provider, nginx and Sluice as processes of their own, and what the system says of them."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
TICKS = os.sysconf("SC_CLK_TCK")

# Limits are on and are checked, but never reached.
APPLY = """
[[provider]]
name = "stand-in"
openai_base_url = "{provider}/v1"

[[model]]
code = "qwen-plus"
provider = "stand-in"
rpm = 600_000_000
tpm = 600_000_000_000

[[workspace]]
name = "bench"
models = [ {{ code = "qwen-plus", rpm = 300_000_000, tpm = 300_000_000_000 }} ]
"""


def stat(pid):
    """Parent and CPU seconds of a process."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS


def tree(root):
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents.setdefault(stat(name)[0], []).append(int(name))
        except OSError:
            continue  # Ended in the meantime.
    found = [root]
    for pid in found:
        found += parents.get(pid, [])
    return found


def threads(pid, prefix):
    """The threads of a process whose names begin so."""
    found = []
    for folder in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            name = (folder / "comm").read_text()
        except OSError:
            continue  # Ended in the meantime.
        if name.startswith(prefix):
            found.append(int(folder.name))
    assert found, f"process {pid} has no thread whose name begins with {prefix}"
    return found


def cpu_s(root):
    return sum(stat(pid)[1] for pid in tree(root))


def resident_mib(root):
    def of(pid):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])

    return sum(map(of, tree(root))) / 1024


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def wait_for_port(port, process):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"{process.args[0]} ended with {process.returncode}")
        with socket.socket() as it:
            if it.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    sys.exit(f"{process.args[0]} does not listen on {port}")


class Stage:
    """Provider, nginx and sluice, started in a temporary folder."""

    def __init__(self, folder, threads):
        self.folder, self.processes = folder, []
        self.provider = free_port()
        self.threads = threads
        self.targets = {
            "direct": (self.provider, self.start(self.stand_in(self.provider), self.provider).pid, ""),
            "nginx": self.nginx(threads),
            "sluice": self.sluice(threads),
        }

    def start(self, command, port, **more):
        output = open(self.folder / f"{pathlib.Path(command[0]).name}.log", "w", encoding="utf-8")
        with output:
            process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=output, cwd=self.folder, **more)
        self.processes.append(process)
        wait_for_port(port, process)
        return process

    def stand_in(self, port):
        return [BUILT / "stand-in", "--listen", f"127.0.0.1:{port}", "--log", "0", "--threads", self.threads]

    def nginx(self, threads):
        port = free_port()
        text = (HERE / "nginx.conf").read_text().replace("@THREADS@", str(threads))
        text = text.replace("@LISTEN@", f"127.0.0.1:{port}").replace("@UPSTREAM@", f"127.0.0.1:{self.provider}")
        (self.folder / "nginx.conf").write_text(text)
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        process = self.start([program, "-p", self.folder, "-c", self.folder / "nginx.conf"], port)
        return port, process.pid, ""

    def sluice(self, threads):
        console, gateway = free_port(), free_port()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
        environment |= {
            "SLUICE_CONSOLE_ADDR": f"127.0.0.1:{console}",
            "SLUICE_GATEWAY_ADDR": f"127.0.0.1:{gateway}",
            "SLUICE_DATABASE_URL": f"sqlite://{self.folder}/sluice.db",
            "SLUICE_SECRET_KEY_FILE": f"{self.folder}/secret.key",
            "SLUICE_GATEWAY_THREADS": str(threads),
            "SLUICE_LOG": "warn",
        }
        (self.folder / "apply.toml").write_text(APPLY.format(provider=f"http://127.0.0.1:{self.provider}"))

        def command(*args):
            return subprocess.run(
                [BUILT / "sluice", *args], cwd=self.folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
            ).stdout.strip()

        command("apply", "apply.toml")
        key = command("key", "create", "--workspace", "bench")
        process = self.start([BUILT / "sluice", "serve"], gateway, env=environment)
        return gateway, process.pid, key

    @contextlib.contextmanager
    def apart(self):
        """For a generator that is also the provider behind the gateways: the address that it is to provide at, and the core
        that no thread shares with it which answers calls. What else a gateway does may use any core. The provider that is
        called directly answers from where the gateways do: whatever stops one of the cores for a while stops all targets
        alike. Without a core for each of these threads there is none for the generator: `None`."""
        cores, (_, nginx, _), (_, sluice, _) = os.sched_getaffinity(0), self.targets["nginx"], self.targets["sluice"]
        core = max(cores) if len(cores) > self.threads else None
        stand_in = self.processes.pop(0)
        stand_in.terminate()
        stand_in.wait()
        elsewhere = free_port()
        other = self.start(self.stand_in(elsewhere), elsewhere)
        answering = [*tree(nginx), *threads(sluice, "gateway-"), *threads(other.pid, "")]
        try:
            self.targets["direct"] = (elsewhere, other.pid, "")
            for one in answering:
                os.sched_setaffinity(one, cores - {core})
            yield f"127.0.0.1:{self.provider}", core
        finally:
            for one in answering:
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(one, cores)
            other.terminate()
            other.wait()
            self.processes.remove(other)
            self.targets["direct"] = (self.provider, self.start(self.stand_in(self.provider), self.provider).pid, "")
            self.processes.insert(0, self.processes.pop())

    def stop(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
