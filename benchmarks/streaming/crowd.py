"""Many readers of one stream in one process: bare sockets and epoll, so that the readers cost little themselves.

    python crowd.py PORT PATH COUNT ADDRESS

Reads commands from its standard input, a line each, and answers each with a line of JSON: ``word`` waits until every
reader has the next word and tells their delays; ``close`` leaves.
"""

from __future__ import annotations

import json
import re
import resource
import select
import socket
import sys
import time

WORD = re.compile(rb'"kind":"delta".*?"value":([0-9.]+)')
BATCH = 64
PATIENCE = 60.0


class Crowd:
    """The readers.

    Attributes:
        parts: How many have got their first bytes.
        delays: Seconds from the word to each reader.
    """

    def __init__(self, port: int, path: str, count: int, address: str) -> None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._begun: set[int] = set()
        self.delays: list[float] = []
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n".encode()
        for number in range(count):
            connection = socket.create_connection(("127.0.0.1", port), source_address=(address, 0))
            connection.sendall(request)
            connection.setblocking(False)
            self._sockets[connection.fileno()] = connection
            self._epoll.register(connection, select.EPOLLIN)
            while number - len(self._begun) > BATCH:
                self.read()
        self.until(lambda: len(self._begun) == count)
        self.delays.clear()

    def read(self) -> None:
        """What there is just now."""
        for number, _ in self._epoll.poll(1.0, 1000):
            part = self._sockets[number].recv(65536)
            now = time.monotonic()
            if not part:
                raise SystemExit(f"a stream ended, after {len(self._begun)} had begun")
            if b"retry:" in part:
                self._begun.add(number)
            if found := WORD.search(part):
                self.delays.append(now - float(found[1]))

    def until(self, condition: object) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():  # type: ignore[operator]
            self.read()
            if time.monotonic() > end:
                raise SystemExit(f"waited in vain: {len(self._begun)} begun, {len(self.delays)} words")

    def word(self) -> list[float]:
        """The delays of the next word, once all have it."""
        self.until(lambda: len(self.delays) >= len(self._sockets))
        delays, self.delays = self.delays, []
        return delays

    def close(self) -> None:
        for connection in self._sockets.values():
            connection.close()


def main() -> None:
    port, path, count, address = sys.argv[1:]
    crowd = Crowd(int(port), path, int(count), address)
    print("open", flush=True)
    for line in sys.stdin:
        if line.strip() == "word":
            print(json.dumps(crowd.word()), flush=True)
        elif line.strip() == "read":  # the comments that came meanwhile
            while crowd._epoll.poll(0.0, 1):
                crowd.read()
            print("read", flush=True)
        else:
            crowd.close()
            print("closed", flush=True)


if __name__ == "__main__":
    main()
