"""A wire between two network namespaces on which packets take their time.

    delaying_wire.py NEAR FAR THERE_MS BACK_MS

Makes two TUN devices, NEAR and FAR, and carries packets between them: each leaves so long after it came, in its order.
Whoever starts it moves FAR to another namespace, and gives both their addresses. Kernels without sch_netem have it too.
"""

import collections
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def device(name):
    handle = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(handle, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return handle


class Way:
    """One direction."""

    def __init__(self, source, sink, delay_ms):
        self.source, self.sink, self.delay = source, sink, float(delay_ms) / 1e3
        self.under_way = collections.deque()

    def take(self, now):
        while True:
            try:
                packet = os.read(self.source, 65536)
            except OSError:
                # Nothing more, or the end is down: then nothing comes.
                return
            self.under_way.append((now + self.delay, packet))

    def deliver(self, now):
        while self.under_way and self.under_way[0][0] <= now:
            try:
                os.write(self.sink, self.under_way.popleft()[1])
            except OSError:
                # The other end is down: what is sent there is lost, as on a wire.
                pass

    def due(self):
        return self.under_way[0][0] if self.under_way else float("inf")


def main():
    near, far = device(sys.argv[1]), device(sys.argv[2])
    ways = [Way(near, far, sys.argv[3]), Way(far, near, sys.argv[4])]
    print("carrying", flush=True)
    while True:
        wait = min(way.due() for way in ways) - time.monotonic()
        timeout = None if wait == float("inf") else max(wait, 0)
        select.select([near, far], [], [], timeout)
        for way in ways:
            way.take(time.monotonic())
            way.deliver(time.monotonic())


main()
