#!/usr/bin/env python3
"""Drives an engine over its control socket (openloop.control/1): arms it for an instant, watches its seconds, doubles its
rate after the first of them, and ends with its exit code. Only Python's standard library is needed."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

here = pathlib.Path(__file__).resolve().parent
engine = os.environ.get("ENGINE", str(here.parent / "target/release/engine"))
out = pathlib.Path(os.environ.get("OUT") or tempfile.mkdtemp())
# A socket's path may have 107 bytes only: a short folder of its own.
door = pathlib.Path(tempfile.mkdtemp(prefix="openloop-")) / "engine.sock"


def connect(process):
    """The engine opens its socket when it is nearly ready; the run waits for us."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(door))
            connection.settimeout(30)
            return connection
        except OSError:
            connection.close()
            time.sleep(0.05)
    sys.exit("the engine did not open its control socket")


class Control:
    """Requests and replies are lines of JSON; events come between them once we have subscribed."""

    def __init__(self, connection):
        self.stream = connection.makefile("rw", encoding="utf-8", newline="\n")
        self.events = []

    def ask(self, op, **more):
        self.stream.write(json.dumps({"op": op, "id": op, **more}) + "\n")
        self.stream.flush()
        while True:
            message = json.loads(self.stream.readline())
            if "event" in message:
                self.events.append(message)
            elif message["ok"]:
                return message
            else:
                sys.exit(f"{op}: {message['error']}")

    def next_event(self):
        if self.events:
            return self.events.pop(0)
        line = self.stream.readline()
        return json.loads(line) if line else {"event": "ended"}


process = subprocess.Popen(
    [engine, "--tps", "300", "--duration", "4s", "--control", str(door), "--json", str(out / "summary.json"), "--quiet"]
)
try:
    control = Control(connect(process))
    while control.ask("status")["status"]["state"] != "ready":
        time.sleep(0.02)
    control.ask("subscribe")
    # Instants are the machine's CLOCK_MONOTONIC; several engines armed for the same one start together.
    now = control.ask("status")["now_monotonic_ns"]
    control.ask("arm", at_monotonic_ns=now + 200_000_000)
    while (event := control.next_event())["event"] != "ended":
        if event["event"] != "interval":
            continue
        second = event["interval"]
        p99_ms = second["latency_ns"]["response"]["p99"] / 1e6
        print(f"second {second['second']}: sent {second['sent']}, ok {second['ok']}, p99 {p99_ms:.3f} ms", flush=True)
        if second["second"] == 0:
            control.ask("set_rate", rate=600)
    sys.exit(process.wait(timeout=60))
finally:
    process.kill()
    process.wait()
    door.unlink(missing_ok=True)
    door.parent.rmdir()
