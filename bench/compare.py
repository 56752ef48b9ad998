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
import resource
import statistics
import subprocess
import tempfile
import time
import urllib.request
from datetime import datetime, timezone

from stage import BUILT, HERE, ROOT, Stage, cpu_s, resident_mib

CALL = {"model": "qwen-plus", "messages": [{"role": "user", "content": "Who are you?"}]}

# Streams whose events come one by one: each is a read and a write of its own, as it is with a model that thinks.
ONE_BY_ONE = "gap-ms=4"
# Streams that last as long as anybody looks at them.
SLOW = "gap-ms=1000; output=2000"
SLOW_STREAMS = 5000


def ask(port, key, **more):
    """One call, to be sure that what is measured is an answer; its body."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    body = json.dumps(CALL | more).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", body, headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


def measured(pid, run):
    """What `run` came to, with the CPU that the process `pid` and its children spent meanwhile."""
    before = cpu_s(pid)
    result = run()
    # A generator may make calls that it does not count; they cost as much.
    made = max(result.get("made", result["calls"]), 1)
    figures = {"calls/s": result["calls"] / result["seconds"], "p50 us": result["p50_us"], "p99 us": result["p99_us"]}
    if "first_p50_us" in result:
        figures |= {"first byte p50 us": result["first_p50_us"], "first byte p99 us": result["first_p99_us"]}
    figures["cpu us/call"] = (cpu_s(pid) - before) / made * 1e6
    return figures | {"memory MiB": resident_mib(pid), "failed": result["failed"]}


def closed_loop(target, connections, seconds, streamed=False, act=""):
    """As many calls as come back: each connection makes its next call when it has its answer."""
    port, pid, key = target

    def run():
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(HERE / "call.lua"),
             f"http://127.0.0.1:{port}/v1/chat/completions"],
            env=os.environ | {"KEY": key, "STREAM": "1" if streamed else "0", "ACT": act},
            check=True, stdout=subprocess.PIPE, text=True,
        )
        return json.loads(done.stdout.strip().splitlines()[-1])

    return measured(pid, run)


def open_loop(target, rate, seconds, connections=64, core=None, **more):
    """Calls at a fixed rate, whatever their answers take, from any core or from one."""
    port, pid, key = target
    command = [BUILT / "drive", f"127.0.0.1:{port}", "--key", key or "sk-none", "--rate", rate, "--seconds", seconds]
    command += ["--connections", connections]
    for name, value in more.items():
        command += [f"--{name}"] if value is True else [f"--{name}", value]

    if core is not None:
        command = ["taskset", "--cpu-list", core, *command]

    def run():
        return json.loads(subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout)

    return measured(pid, run)


def gathered(stage, args, measure):
    """What interleaved rounds came to, for each target."""
    seen = {name: [] for name in stage.targets}
    for _ in range(args.rounds):
        for name, target in stage.targets.items():
            seen[name].append(measure(target))
    return seen


def medians(of):
    """The median of each figure; of what failed, all."""
    return {what: (sum if what == "failed" else statistics.median)(it[what] for it in of) for what in of[0]}


def rounds(stage, args, measure):
    """The medians of interleaved rounds, for each target."""
    return {name: medians(of) for name, of in gathered(stage, args, measure).items()}


def table(title, rows, verdict):
    names = list(next(iter(rows.values())))
    lines = [f"| {title} | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for target, row in rows.items():
        cells = [
            f"{row[name]:,.{2 if 'chunk' in name else 1 if name.startswith(('cpu', 'mem')) else 0}f}" for name in names
        ]
        lines.append(f"| {target} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", verdict])


def full_speed(title, connections, streamed=False):
    def scene(stage, args):
        rows = rounds(stage, args, lambda it: closed_loop(it, connections, args.seconds, streamed))
        sluice, nginx, direct = rows["sluice"], rows["nginx"], rows["direct"]
        return table(title, rows, (
            f"CPU per call {sluice['cpu us/call'] / nginx['cpu us/call']:.2f} × nginx, "
            f"{sluice['calls/s'] / nginx['calls/s']:.2f} × its calls/s, "
            f"{sluice['p50 us'] - direct['p50 us']:.0f} µs added at the median."
        ))

    return scene


def fixed_rates(stage, args):
    """Shares of what Sluice answers in a closed loop. At times of their own calls cost everybody more than in bunches, so that
    half of the calls is more than half of the work. One thread is generator and provider, and no thread that answers calls
    shares its core, as clients and providers have machines of their own: left alone, the system puts it on the core of the
    thread that it wakes, where each waits for the other while the next core has nothing to do."""
    full = statistics.median(
        closed_loop(stage.targets["sluice"], 16, args.seconds)["calls/s"] for _ in range(args.rounds)
    )
    parts = []
    with stage.apart() as (provider, core):
        for share in (1 / 4, 1 / 2):
            rate = round(full * share, -2)
            seen = gathered(stage, args, lambda it: open_loop(it, rate, args.seconds, core=core, provide=provider))
            of_each_round = {
                name: sorted(own["p99 us"] - direct["p99 us"] for own, direct in zip(seen[name], seen["direct"]))
                for name in ("sluice", "nginx")
            }
            added = {
                name: f"{statistics.median(it):.0f} µs ({it[0]:.0f} to {it[-1]:.0f})" for name, it in of_each_round.items()
            }
            place = "On cores of their own" if core is not None else "On the same cores as the generator, for there are no more"
            parts.append(table(
                f"{rate:,.0f} calls/s, {share:.3g} of {full:,.0f}", {name: medians(of) for name, of in seen.items()},
                f"Of what Sluice answered at 16 connections just before. {place}; p99 of a round over that of its direct calls: "
                f"{added['sluice']}, nginx's {added['nginx']}.",
            ))
    return "\n\n".join(parts)


def first_byte(stage, args):
    rows = rounds(stage, args, lambda it: open_loop(it, 200, args.seconds, stream=True, act="gap-ms=20"))
    added = {name: rows[name]["first byte p50 us"] - rows["direct"]["first byte p50 us"] for name in ("sluice", "nginx")}
    return table("200 streams/s", rows, (
        f"First byte {added['sluice']:.0f} µs over direct at the median, nginx's {added['nginx']:.0f} µs over it."
    ))


def chunks(stage, args):
    port, _, key = stage.targets["sluice"]
    events = ask(port, key, stream=True, stream_options={"include_usage": True}, max_tokens=64).count(b"data:")

    def measure(target):
        figures = closed_loop(target, 64, args.seconds, streamed=True, act=ONE_BY_ONE)
        return {"chunks/s": figures["calls/s"] * events, "cpu us/chunk": figures["cpu us/call"] / events} | figures

    rows = rounds(stage, args, measure)
    ratio = rows["sluice"]["cpu us/chunk"] / rows["nginx"]["cpu us/chunk"]
    return table("64 streams, events one by one", rows, f"{events} events a stream. CPU per chunk {ratio:.2f} × nginx.")


def slow_streams(stage, _args):
    port, pid, key = stage.targets["sluice"]
    before = resident_mib(pid)
    command = [BUILT / "drive", f"127.0.0.1:{port}", "--key", key, "--hold", "--connections", SLOW_STREAMS, "--act", SLOW]
    held = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        result = json.loads(held.stdout.readline())
        time.sleep(3)  # Each stream has had some events by then.
        before_s, began = cpu_s(pid), time.monotonic()
        time.sleep(3)
        busy = (cpu_s(pid) - before_s) / (time.monotonic() - began)
        during = resident_mib(pid)
    finally:
        held.stdin.close()
        end = held.stdout.read()
        held.wait()
    ended = result["held"] - json.loads(end)["alive"]
    each = (during - before) * 1024 / max(result["held"], 1)
    return (
        f"{result['held']:,} slow streams at once, one event a second each, {result['failed']} failed and {ended} ended "
        f"meanwhile: from {before:.1f} to "
        f"{during:.1f} MiB, {each:.1f} KiB each beside the sockets; {busy * 100:.0f} % of a core."
    )


def flat(stage, args):
    """Memory under full load for a long time, and the straight line through it."""
    port, pid, key = stage.targets["sluice"]
    seconds = args.minutes * 60
    load = subprocess.Popen(
        ["wrk", "-t1", "-c64", f"-d{seconds:.0f}s", "-s", str(HERE / "call.lua"), f"http://127.0.0.1:{port}/v1/chat/completions"],
        env=os.environ | {"KEY": key, "STREAM": "0", "ACT": ""}, stdout=subprocess.PIPE, text=True,
    )
    points, began = [], time.monotonic()
    while load.poll() is None:
        time.sleep(min(5, seconds / 20))
        points.append(((time.monotonic() - began) / 60, resident_mib(pid)))
    calls = json.loads(load.stdout.read().strip().splitlines()[-1])["calls"]
    settled = [it for it in points if it[0] >= args.minutes / 5]
    slope = statistics.linear_regression(*zip(*settled)).slope
    every = [f"{mib:.1f}" for _, mib in points[:: max(1, len(points) // 10)]]
    return (
        f"{args.minutes:g} minutes of full load, {calls:,} calls at 64 connections: {' → '.join(every)} MiB; "
        f"after the first fifth {slope:+.2f} MiB a minute."
    )


SCENES = {
    "1 connection": full_speed("1 connection", 1),
    "16 connections": full_speed("16 connections", 16),
    "256 connections": full_speed("256 connections", 256),
    "16 streams": full_speed("16 streams", 16, streamed=True),
    "fixed rates": fixed_rates,
    "first byte": first_byte,
    "chunks": chunks,
    "slow streams": slow_streams,
}
# Only when asked for.
LONG = {"flat memory": flat}


def heading():
    def git(*args):
        return subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True).stdout.strip()

    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    cpu = re.search(r"model name\s*: (.+)", pathlib.Path("/proc/cpuinfo").read_text())
    cores = f"{os.cpu_count()} × {cpu[1] if cpu else platform.machine()}"
    return f"## {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, {git('rev-parse', '--short', 'HEAD')}{changed}, {cores}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=4, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each, of which the median is shown")
    parser.add_argument("--threads", type=int, default=1, help="threads of the provider, of nginx and of the gateway")
    parser.add_argument("--minutes", type=float, default=10, help="length of the scene `flat memory`")
    parser.add_argument("--scene", action="append", choices=[*SCENES, *LONG], help="only this one; may be repeated")
    parser.add_argument("--record", action="store_true", help="append the tables to bench/RESULTS.md")
    args = parser.parse_args()
    # Slow streams need two descriptors each in the gateway.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    text = [heading()]
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        os.chmod(folder, 0o755)
        stage = Stage(pathlib.Path(folder), args.threads)
        try:
            for port, _, key in stage.targets.values():
                assert json.loads(ask(port, key))["usage"]["completion_tokens"] == 20
            rest = resident_mib(stage.targets["sluice"][1])
            text.append(
                f"{args.threads} thread(s) each, median of {args.rounds} rounds of {args.seconds} s. Sluice at rest: {rest:.1f} MiB."
            )
            print("\n\n".join(text), flush=True)
            for scene in args.scene or SCENES:
                text.append((SCENES | LONG)[scene](stage, args))
                print("\n" + text[-1], flush=True)
        finally:
            stage.stop()
    if args.record:
        with open(HERE / "RESULTS.md", "a", encoding="utf-8") as results:
            results.write("\n" + "\n\n".join(text) + "\n")


if __name__ == "__main__":
    main()
