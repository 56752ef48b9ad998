#!/usr/bin/env python3
"""What pages cost after a million, ten million and a hundred million calls, on SQLite and on PostgreSQL.

Each store is filled with 90 days of 200 models in 20 workspaces, some 500 pairs of them called, by the code that the flush
uses (`cargo run --release -p store --example fill`). Then 20 viewers look at pages, each about once a second, and every
answer's time is taken, to its first byte: a page is sent when all of it is made, so that is the server's time with all waiting for
a core in it, and the reading of half a megabyte is not. Filled stores lie in --folder and are used
again: about 1.5 GB for SQLite and 3 GB for PostgreSQL at a hundred million. Half of the hours are written by a second opening, as
by a second process. With --copy each store is copied to the other engine at the end, and the seconds of that are told. Nothing is
written down unless --record is given.
"""

import argparse
import concurrent.futures
import http.client
import pathlib
import random
import subprocess
import time
from datetime import datetime, timedelta, timezone

from installation import BUILT, ROOT, Installation, Postgres, resident_mib

VIEWERS = 20
MODELS, WORKSPACES = 200, 19  # and the default workspace


def configuration(provider):
    lines = [f'[[provider]]\nname = "stand-in"\nopenai_base_url = "{provider}/v1"\n']
    lines += [f'[[model]]\ncode = "model-{n:03}"\nprovider = "stand-in"\nrpm = 60000\ntpm = 100000000\n' for n in range(MODELS)]
    granted = ", ".join(f'{{ code = "model-{n:03}", rpm = 30000 }}' for n in range(MODELS))
    lines += [f'[[workspace]]\nname = "team-{n:02}"\nmodels = [ {granted} ]\n' for n in range(WORKSPACES)]
    return "\n".join(lines)


def pages():
    """Name and address: presets, a range that cuts through hours and days, filters, the other tab, CSV."""
    now = datetime.now(timezone.utc)
    from_, to = now - timedelta(days=23, hours=7, minutes=13), now - timedelta(days=2, hours=3, minutes=29)
    custom = f"from={from_:%Y-%m-%dT%H:%M}&to={to:%Y-%m-%dT%H:%M}"
    found = [(f"Monitoring {it}", f"/monitoring?range={it}") for it in ("1h", "3h", "24h", "7d", "30d")]
    found.append(("Monitoring, 21 days cut anywhere", f"/monitoring?{custom}"))
    # The longest ranges of each length of step, and what is kept of minutes and hours.
    for days in (3, 90):
        from_ = now - timedelta(days=days, minutes=-1)
        found.append((f"Monitoring, {days} days", f"/monitoring?from={from_:%Y-%m-%dT%H:%M}&to={now:%Y-%m-%dT%H:%M}"))
    found.append(("Monitoring 7d, one model", "/monitoring?range=7d&model=model-007"))
    found.append(("Rate Limit", "/monitoring/rate-limit"))
    found.append(("CSV 30d", "/monitoring.csv?range=30d"))
    return found


def fill(url, calls):
    subprocess.run([BUILT / "examples" / "fill", url, str(calls)], check=True)


def percentile(times, share):
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


def viewer(n, console, cookie, seconds):
    """Times of the pages that one viewer sees: a process, since threads of one would wait for each other."""
    chance, seen = random.Random(n), []
    connection = http.client.HTTPConnection("127.0.0.1", console, timeout=60)
    # They did not agree to begin together.
    time.sleep(chance.uniform(0, 1))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        name, address = chance.choice(pages())
        began = time.perf_counter()
        connection.request("GET", address, headers={"cookie": cookie, "accept": "text/html"})
        answer = connection.getresponse()
        seen.append((name, time.perf_counter() - began))
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{address}: {answer.status} {body[:300]!r}")
        time.sleep(chance.uniform(0.7, 1.3))
    return seen


def view(installation, seconds):
    """Times of each page as 20 viewers see it, in seconds."""
    times = {name: [] for name, _ in pages()}
    with concurrent.futures.ProcessPoolExecutor(VIEWERS) as viewers:
        seen = [viewers.submit(viewer, n, installation.console, installation.cookie, seconds) for n in range(VIEWERS)]
        for name, took in (it for of in seen for it in of.result()):
            times[name].append(took)
    return times


def copy(installation, engine, name, place, postgres):
    """Seconds of `sluice copy` to the other engine, of a stopped installation; the copy is thrown away."""
    if engine == "postgres":
        target = place / "copy.db"
        target.unlink(missing_ok=True)
        url, drop = f"sqlite://{target}", target.unlink
    else:
        url, drop = postgres.database(f"copy{name}"), lambda: postgres.ask("postgres", f"drop database copy{name}")
    began = time.monotonic()
    installation.run("copy", "--from", installation.database, "--to", url)
    took = time.monotonic() - began
    drop()
    return took


def measure(engine, calls, folder, seconds, postgres, copied):
    place = folder / f"{engine}-{calls}"
    name = f"calls{calls}"
    url = postgres.database(name) if engine == "postgres" else None
    installation = Installation(place, url)
    filled = place / "filled"
    try:
        if not filled.exists():
            installation.apply(configuration(installation.provider_url))
            installation.owner()
            began = time.monotonic()
            fill(installation.database, calls)
            if engine == "postgres":
                postgres.ask(name, "vacuum analyze")
            filled.write_text(f"{time.monotonic() - began:.0f}")
        if engine == "postgres":
            size = int(postgres.ask(name, "select pg_database_size(current_database())"))
        else:
            size = (place / "data" / "sluice.db").stat().st_size
        started = installation.serve()
        installation.sign_in()
        for _, address in pages():
            installation.get(installation.console, address)
        times = view(installation, seconds)
        memory = resident_mib(installation.child.pid)
        total = installation.report("30d")["summary"]["total_calls"]
        installation.stop()
        took = copy(installation, engine, name, place, postgres) if copied else None
        print(f"{engine}, {calls:,} calls: {total:,} in 30 days, {size / 1e6:,.0f} MB, start {started:.2f} s, {memory:.0f} MiB", flush=True)
        return {"engine": engine, "calls": calls, "size": size, "start": started, "memory": memory, "times": times, "copy": took}
    finally:
        installation.close()


def table(results):
    lines = ["| page | " + " | ".join(f"{it['engine']} {it['calls'] / 1e6:g} M" for it in results) + " |",
             "|---|" + "---:|" * len(results)]
    for name, _ in pages():
        cells = [f"{percentile(it['times'][name], 0.5):.1f} / {percentile(it['times'][name], 0.99):.1f}" for it in results]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    every = [[t for times in it["times"].values() for t in times] for it in results]
    lines.append("| all pages | " + " | ".join(f"{percentile(it, 0.5):.1f} / {percentile(it, 0.99):.1f}" for it in every) + " |")
    lines.append("| views | " + " | ".join(str(len(it)) for it in every) + " |")
    lines.append("| database, MB | " + " | ".join(f"{it['size'] / 1e6:,.0f}" for it in results) + " |")
    lines.append("| start until calls are served, s | " + " | ".join(f"{it['start']:.2f}" for it in results) + " |")
    lines.append("| memory after it, MiB | " + " | ".join(f"{it['memory']:.0f}" for it in results) + " |")
    if any(it["copy"] is not None for it in results):
        lines.append("| copied to the other engine, s | " + " | ".join(f"{it['copy'] or 0:.0f}" for it in results) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engines", default="sqlite,postgres")
    parser.add_argument("--calls", default="1000000,10000000,100000000")
    parser.add_argument("--seconds", type=float, default=40, help="of viewing, for each store")
    parser.add_argument("--folder", default=str(ROOT / "target" / "scale"))
    parser.add_argument("--copy", action="store_true", help="also copy each store to the other engine")
    parser.add_argument("--fill-only", action="store_true")
    parser.add_argument("--record", action="store_true", help="append the table to bench/RESULTS.md")
    arguments = parser.parse_args()
    folder = pathlib.Path(arguments.folder)
    if not (BUILT / "examples" / "fill").exists():
        raise SystemExit("build first: cargo build --release -p sluice -p testkit --bins && cargo build --release -p store --example fill")
    engines = arguments.engines.split(",")
    postgres = Postgres(folder / "postgres", ("shared_buffers=512MB", "max_wal_size=4GB")) if "postgres" in engines or arguments.copy else None
    results = []
    try:
        for engine in engines:
            for calls in map(int, arguments.calls.split(",")):
                results.append(measure(engine, calls, folder, 0 if arguments.fill_only else arguments.seconds, postgres, arguments.copy))
    finally:
        if postgres:
            postgres.stop("fast")
    if arguments.fill_only:
        return
    text = table(results)
    print(text)
    if arguments.record:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
        with open(ROOT / "bench" / "RESULTS.md", "a") as it:
            it.write(f"\n## {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, {commit}: pages on filled stores\n\n"
                     f"p50 / p99 in ms to the first byte, as each of {VIEWERS} viewers sees it, a page a second each.\n\n{text}\n")


if __name__ == "__main__":
    main()
