"""A server that holds answers back by a law, or freezes by a schedule, and logs what it really did.

Arguments: port, log file, law (10ms, exp:5ms, bimodal:2ms,50ms,0.07, pareto:1ms,1.5,2s or none), seed, and a stall's
length, period and offset from the first request, in seconds (length 0: none), and the size of a response's body. asyncio
on epoll, one thread. The log is CSV, written at SIGTERM: when each request was read and when its answer was handed to the kernel, in nanoseconds of
CLOCK_MONOTONIC.
"""

import asyncio
import gc
import random
import signal
import socket
import sys
import time

def seconds(text):
    for unit, factor in (("us", 1e-6), ("ms", 1e-3), ("s", 1.0)):
        if text.endswith(unit):
            return float(text[: -len(unit)]) * factor
    raise ValueError(text)


def law_of(text, draw):
    """A function that yields the next delay in seconds."""
    name, _, rest = text.partition(":")
    parts = rest.split(",")
    if name == "none":
        return lambda: 0.0
    if name == "exp":
        mean = seconds(parts[0])
        return lambda: draw.expovariate(1 / mean)
    if name == "bimodal":
        fast, slow, share = seconds(parts[0]), seconds(parts[1]), float(parts[2])
        return lambda: slow if draw.random() < share else fast
    if name == "pareto":
        least, shape, most = seconds(parts[0]), float(parts[1]), seconds(parts[2])
        return lambda: min(least * draw.paretovariate(shape), most)
    constant = seconds(text)
    return lambda: constant


class Server:
    def __init__(self, law, stall, body_bytes, loop):
        self.law, self.stall, self.loop, self.log = law, stall, loop, []
        self.response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % body_bytes + b"x" * body_bytes

    def first(self):
        length, period, offset = self.stall
        if self.log or not length:
            return
        begin = time.monotonic() + offset

        def freeze():
            nonlocal begin
            # Everything of this process stands still: one thread serves.
            time.sleep(max(0.0, begin + length - time.monotonic()))
            begin += period
            self.loop.call_at(begin, freeze)

        self.loop.call_at(begin, freeze)


class Exchange(asyncio.Protocol):
    def __init__(self, server):
        self.server, self.pending = server, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        arrived = time.monotonic_ns()
        self.pending += data
        while b"\r\n\r\n" in self.pending:
            _, self.pending = self.pending.split(b"\r\n\r\n", 1)
            self.server.first()
            entry = [arrived, 0]
            self.server.log.append(entry)
            delay = self.server.law()
            if delay:
                self.server.loop.call_at(arrived / 1e9 + delay, self.answer, entry)
            else:
                self.answer(entry)

    def answer(self, entry):
        self.transport.write(self.server.response)
        entry[1] = time.monotonic_ns()


async def main(port, log, law, seed, length, period, offset, body_bytes):
    loop = asyncio.get_running_loop()
    stall = tuple(map(float, (length, period, offset)))
    server = Server(law_of(law, random.Random(int(seed))), stall, int(body_bytes), loop)
    listener = socket.create_server(("", int(port)), backlog=4096)
    await loop.create_server(lambda: Exchange(server), sock=listener, backlog=4096)
    end = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, end.set)
    gc.freeze()
    gc.disable()
    print("listening", flush=True)
    await end.wait()
    with open(log, "w") as file:
        file.writelines(f"{arrived},{written}\n" for arrived, written in server.log)


asyncio.run(main(*sys.argv[1:]))
