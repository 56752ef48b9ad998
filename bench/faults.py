#!/usr/bin/env python3
"""What a database in trouble costs: calls go on at a steady pace while it fails in one way after the other.

For each fault: what calls and edits got meanwhile, how many calls the figures miss or count twice in the end (0 is the
only good answer), and how long after the end of the fault the figures were whole again. Faults of SQLite's disk need root
and a small file system in memory; without it they are left out, and that is said.
"""

import argparse
import collections
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from datetime import datetime, timezone

from installation import ROOT, Installation, Load, Postgres

A_SECOND = 50

APPLY = """
[[provider]]
name = "stand-in"
openai_base_url = "{provider}/v1"
[[model]]
code = "m"
provider = "stand-in"
rpm = 600000
tpm = 1000000000
[[workspace]]
name = "search"
models = [ {{ code = "m" }} ]
"""


class Road:
    """A way to the database that can be made slow."""

    def __init__(self, port):
        self.to, self.delay = port, 0.0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            try:
                far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                near.close()
                continue
            threading.Thread(target=self.carry, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self.carry, args=(far, near, False), daemon=True).start()

    def carry(self, source, target, slow):
        try:
            while data := source.recv(1 << 16):
                if slow and self.delay:
                    time.sleep(self.delay)
                target.sendall(data)
        except OSError:
            pass
        for it in (source, target):
            it.close()


class Scene:
    """An installation under load."""

    def __init__(self, database=None, folder=None):
        self.installation = Installation(folder, database)
        self.installation.apply(APPLY.format(provider=self.installation.provider_url))
        self.installation.owner()
        self.key = self.installation.key("search")
        self.installation.serve()
        self.installation.sign_in()
        self.calls = collections.Counter()
        self.edits = collections.Counter()
        self.slowest = 0.0
        self.number = 0

    def load(self):
        it = Load(self.installation, self.key, "m", A_SECOND)
        it.start()
        return it

    def ended(self, load):
        self.calls.update(load.stop())
        self.slowest = max(self.slowest, load.slowest)

    def edit(self):
        self.number += 1
        try:
            status, body, _ = self.installation.form("/api/workspaces/create", {"name": f"w{self.number}"})
        except OSError as error:
            status, body = str(error), ""
        self.edits[status if status != 200 else ("200" if "Done" in body else "refused")] += 1

    def counted(self):
        """Calls in the figures; -1 while they cannot be read."""
        report = self.installation.run("report", "--range", "24h", "--format", "json", check=False)
        return json.loads(report)["summary"]["total_calls"] if report else -1

    def through(self, fault, mend, seconds):
        """Calls before, during and after a fault; seconds until the figures are whole after it."""
        load = self.load()
        time.sleep(3)
        fault()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.edit()
            time.sleep(1)
        mend()
        mended = time.monotonic()
        time.sleep(2)
        self.ended(load)
        sent = sum(it for status, it in self.calls.items() if status != "none")
        while self.counted() < sent and time.monotonic() < mended + 60:
            time.sleep(0.2)
        took = time.monotonic() - mended
        time.sleep(2)  # Whatever is counted twice would come now.
        return sent, self.counted(), took

    def close(self):
        self.installation.close()


def line(name, scene, sent, counted, took):
    calls = ", ".join(f"{it} × {status}" for status, it in sorted(scene.calls.items(), key=str))
    edits = ", ".join(f"{it} × {status}" for status, it in sorted(scene.edits.items(), key=str)) or "none tried"
    print(f"{name}: calls {calls}; edits {edits}; {sent} sent, {counted} counted; {took:.1f} s", flush=True)
    return f"| {name} | {calls}; slowest {scene.slowest * 1000:.0f} ms | {edits} | {max(0, sent - counted)} / {max(0, counted - sent)} | {took:.1f} s |"


def postgres_faults(folder, seconds):
    server = Postgres(folder / "postgres", ("fsync=off", "max_connections=30", "client_connection_check_interval=500"))
    try:
        scene = Scene(server.database("stopped"))
        yield line(f"PostgreSQL stopped for {seconds} s", scene, *scene.through(server.stop, server.start, seconds))
        scene.close()

        scene = Scene(server.database("restarted"))
        yield line("PostgreSQL restarted", scene, *scene.through(lambda: server.stop("fast"), server.start, 1))
        scene.close()

        road = Road(server.port)
        server.database("slow")
        scene = Scene(f"postgres://sluice@127.0.0.1:{road.port}/slow?sslmode=disable")
        yield line(f"PostgreSQL slower by 1 s, for {seconds} s", scene,
                   *scene.through(lambda: setattr(road, "delay", 1.0), lambda: setattr(road, "delay", 0.0), seconds))
        scene.close()

        scene = Scene(server.database("full"))
        holders = []

        def take_all():
            # A process whose connections are cut, while others hold every place.
            for _ in range(40):
                command = [server.programs / "psql", "-h", server.folder, "-p", str(server.port), "-U", "sluice", "-d", "full",
                           "-Atc", "select pg_sleep(3600)"]
                holders.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            time.sleep(1)
            server.run("psql", "-h", server.folder, "-p", str(server.port), "-U", "sluice", "-d", "full", "-c",
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'sluice'", check=False)

        # A place is free when the server notices that nobody is there any more: `client_connection_check_interval`.
        def let_go():
            for it in holders:
                it.kill()
                it.wait()
            server.run("psql", "-h", server.folder, "-p", str(server.port), "-U", "sluice", "-d", "postgres", "-c",
                "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()",
                check=False)

        yield line("every connection of PostgreSQL taken, its own cut", scene, *scene.through(take_all, let_go, min(seconds, 20)))
        scene.close()

        scene = Scene(server.database("killed"))

        def kill():
            scene.installation.stop(signal.SIGKILL)
            scene.installation.serve()

        sent, counted, took = 0, 0, 0.0
        for _ in range(5):
            load = scene.load()
            time.sleep(2.37)
            began = time.monotonic()
            kill()
            took = max(took, time.monotonic() - began)
            time.sleep(0.5)
            scene.ended(load)
        time.sleep(12)  # What a killed run left is added up when it is taken to be gone.
        sent = sum(it for status, it in scene.calls.items() if status != "none")
        counted = scene.counted()
        yield line("Sluice killed 5 times while it writes (a flush of 0.1 s each may be lost)", scene, sent, counted, took)
        scene.close()
    finally:
        server.stop()


def sqlite_faults(folder, seconds):
    place = folder / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], capture_output=True, check=False)
    if mounted.returncode:
        print(f"left out: SQLite on a full disk ({mounted.stderr.decode().strip()})")
    else:
        try:
            home = pathlib.Path(tempfile.mkdtemp(dir=folder))
            scene = Scene(f"sqlite://{place}/sluice.db", home)
            ballast = place / "ballast"

            def fill_up():
                with open(ballast, "wb", buffering=0) as it:
                    try:
                        while True:
                            it.write(b"\0" * 4096)
                    except OSError:
                        pass

            yield line(f"SQLite's disk full for {seconds} s", scene, *scene.through(fill_up, ballast.unlink, seconds))
            scene.close()

            home = pathlib.Path(tempfile.mkdtemp(dir=folder))
            for it in place.iterdir():
                it.unlink()
            scene = Scene(f"sqlite://{place}/sluice.db", home)
            holder = {}

            def forbid():
                holder["it"] = subprocess.Popen(["python3", "-c", HOLD, f"{place}/sluice.db"])

            yield line(f"SQLite held by another writer for {seconds} s", scene,
                       *scene.through(forbid, lambda: (holder["it"].kill(), holder["it"].wait()), seconds))
            scene.close()
        finally:
            subprocess.run(["umount", place], check=False)
    home = pathlib.Path(tempfile.mkdtemp(dir=folder))
    scene = Scene(f"sqlite://{home}/sluice.db", home)
    files = [home / "sluice.db", home / "sluice.db-wal"]

    def immutable(sign):
        return subprocess.run(["chattr", f"{sign}i", *files], capture_output=True, check=False)

    try:
        if immutable("+").returncode or immutable("-").returncode:
            print("left out: SQLite's files made read-only (chattr does not work here)")
        else:
            # Also what is open already cannot be written then.
            yield line(f"SQLite's files read-only for {seconds} s", scene,
                       *scene.through(lambda: immutable("+"), lambda: immutable("-"), seconds))
    finally:
        immutable("-")
        scene.close()


HOLD = """
import sqlite3, sys, time
it = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
it.execute("begin immediate")
time.sleep(3600)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="how long a fault lasts")
    parser.add_argument("--engines", default="postgres,sqlite")
    parser.add_argument("--record", action="store_true", help="append the table to bench/RESULTS.md")
    arguments = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-faults-"))
    os.chmod(folder, 0o755)
    lines = []
    try:
        for engine in arguments.engines.split(","):
            lines += {"postgres": postgres_faults, "sqlite": sqlite_faults}[engine](folder, arguments.seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    head = "| fault | what calls got | what edits got | calls missing / counted twice | figures whole after |\n|---|---|---|---:|---:|"
    text = "\n".join([head, *lines])
    print(text)
    if arguments.record:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
        with open(ROOT / "bench" / "RESULTS.md", "a") as it:
            it.write(f"\n## {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, {commit}: a database in trouble\n\n"
                     f"{A_SECOND} calls a second throughout, an edit a second during the fault.\n\n{text}\n")


if __name__ == "__main__":
    main()
