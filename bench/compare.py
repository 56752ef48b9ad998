#!/usr/bin/env python3
"""What a call costs through Sluice, beside nginx and beside no gateway at all, in front of one stand-in provider.

Everything runs here and now: rounds are interleaved so that a busy machine is busy for all alike, and only ratios of
one run mean anything. CPU is that of a gateway's whole process tree. Nothing is written unless --record is given.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import datetime, timezone

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

# Name, connections, streamed.
SCENES = {
    "1 connection": (1, False),
    "16 connections": (16, False),
    "256 connections": (256, False),
    "16 streams": (16, True),
}


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
        stand_in = self.start([BUILT / "stand-in", "--listen", f"127.0.0.1:{self.provider}", "--log", "0"], self.provider)
        self.targets = {
            "direct": (self.provider, stand_in.pid, ""),
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

    def stop(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def check(port, key):
    """One call, to be sure that what is measured is an answer."""
    body = json.dumps({"model": "qwen-plus", "messages": [{"role": "user", "content": "Who are you?"}]}).encode()
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", body, headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.load(answer)["usage"]["completion_tokens"] == 20


def measure(target, connections, streamed, seconds):
    port, pid, key = target
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", HERE / "call.lua"]
    before = cpu_s(pid)
    done = subprocess.run(
        [*map(str, command), f"http://127.0.0.1:{port}/v1/chat/completions"],
        env=os.environ | {"KEY": key, "STREAM": "1" if streamed else "0"},
        check=True, capture_output=True, text=True,
    )
    result = json.loads(done.stdout.strip().splitlines()[-1])
    calls = max(result["calls"], 1)
    return {
        "calls/s": result["calls"] / result["seconds"],
        "p50 us": result["p50_us"],
        "p99 us": result["p99_us"],
        "cpu us/call": (cpu_s(pid) - before) / calls * 1e6,
        "memory MiB": resident_mib(pid),
        "failed": result["failed"],
    }


def table(scene, rows):
    names = list(next(iter(rows.values())))
    lines = [f"| {scene} | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for target, row in rows.items():
        cells = [f"{row[name]:,.1f}" if name in ("cpu us/call", "memory MiB") else f"{row[name]:,.0f}" for name in names]
        lines.append(f"| {target} | " + " | ".join(cells) + " |")
    ratio = rows["sluice"]["cpu us/call"] / rows["nginx"]["cpu us/call"]
    throughput = rows["sluice"]["calls/s"] / rows["nginx"]["calls/s"]
    added = rows["sluice"]["p50 us"] - rows["direct"]["p50 us"]
    lines.append("")
    lines.append(f"CPU per call {ratio:.2f} × nginx, {throughput:.2f} × its calls/s, {added:.0f} µs added at the median.")
    return "\n".join(lines)


def heading():
    def git(*args):
        return subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True).stdout.strip()

    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    cpu = re.search(r"model name\s*: (.+)", pathlib.Path("/proc/cpuinfo").read_text())
    machine = f"{os.cpu_count()} × {cpu[1] if cpu else platform.machine()}"
    return f"## {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, {git('rev-parse', '--short', 'HEAD')}{changed}, {machine}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=4, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each, of which the median is shown")
    parser.add_argument("--threads", type=int, default=1, help="threads of nginx and of the gateway")
    parser.add_argument("--scene", action="append", choices=list(SCENES), help="only this one; may be repeated")
    parser.add_argument("--record", action="store_true", help="append the tables to bench/RESULTS.md")
    args = parser.parse_args()

    text = [heading(), f"{args.threads} thread(s) each, median of {args.rounds} rounds of {args.seconds} s."]
    print(text[0])
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        os.chmod(folder, 0o755)
        stage = Stage(pathlib.Path(folder), args.threads)
        try:
            for port, _, key in stage.targets.values():
                check(port, key)
            for scene in args.scene or SCENES:
                connections, streamed = SCENES[scene]
                rounds = {name: [] for name in stage.targets}
                for _ in range(args.rounds):
                    for name, target in stage.targets.items():
                        rounds[name].append(measure(target, connections, streamed, args.seconds))
                rows = {
                    name: {what: statistics.median(it[what] for it in measured) for what in measured[0]}
                    for name, measured in rounds.items()
                }
                text.append(table(scene, rows))
                print("\n" + text[-1], flush=True)
        finally:
            stage.stop()
    if args.record:
        with open(HERE / "RESULTS.md", "a", encoding="utf-8") as results:
            results.write("\n" + "\n\n".join(text) + "\n")


if __name__ == "__main__":
    main()
