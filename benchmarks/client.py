"""A load generator without dependencies: blocking-free sockets, keep-alive, one request under way per connection.

Started by ``load``; takes one JSON argument and prints one ``RESULT`` line. It costs about as much processor time
per request as the leanest server does, so with it look at the processor time per request first, then at rates.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from typing import Any


def main(options: dict[str, Any]) -> dict[str, float]:
    """Run the load and sum it up."""
    request = _request(options)
    selector = selectors.DefaultSelector()
    started: dict[socket.socket, float] = {}
    pending: dict[socket.socket, bytes] = {}
    latencies: list[float] = []
    failed = 0
    begin = time.perf_counter()
    end = begin + options["seconds"]
    for _ in range(options["connections"]):
        connection = socket.create_connection(("127.0.0.1", options["port"]))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
        started[connection], pending[connection] = time.perf_counter(), b""
        connection.sendall(request)
    while (now := time.perf_counter()) < end and started:
        for key, _ in selector.select(0.1):
            connection: socket.socket = key.fileobj  # type: ignore[assignment, no-redef] # we registered sockets
            data = pending[connection] + (received := connection.recv(65536))
            if not received:
                failed += 1
                selector.unregister(connection)
                del started[connection]
                continue
            if not _complete(data):
                pending[connection] = data
                continue
            pending[connection] = b""
            now = time.perf_counter()
            failed += not data.startswith(b"HTTP/1.1 200")
            latencies.append(now - started[connection])
            started[connection] = now
            connection.sendall(request)
    return _summary(latencies, time.perf_counter() - begin, failed)


def _request(options: dict[str, Any]) -> bytes:
    body = options["body"].encode()
    lines = [f"POST {options['path']} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in options["headers"].items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _complete(data: bytes) -> bool:
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return False
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        return body.endswith(b"0\r\n\r\n")
    length = lower.partition(b"content-length:")[2].partition(b"\r\n")[0]
    return len(body) >= int(length or 0)


def _summary(latencies: list[float], seconds: float, failed: int) -> dict[str, float]:
    ordered = sorted(latencies) or [0.0]
    p50, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    return {"requests": len(latencies), "seconds": seconds, "p50": p50 * 1e6, "p99": p99 * 1e6, "failed": failed}


if __name__ == "__main__":
    print("RESULT " + json.dumps(main(json.loads(sys.argv[1]))))
