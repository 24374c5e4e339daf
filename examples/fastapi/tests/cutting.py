"""A network that breaks: a TCP proxy that hangs up in the middle of a stream."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

__all__ = ["Cutter", "cutting"]

WORD = re.compile(rb"event: delta")
RESUMED = re.compile(rb"(?im)^last-event-id: *(\d+)")


class Cutter:
    """Passes bytes on. The first streams stand still in the middle of an event, until they are cut there.

    Args:
        port: Of the server.
        cuts: How many streams.
        words: In the how-manieth word of a stream.

    Attributes:
        url: Where browsers find it.
        resumed: The ``Last-Event-ID`` of each request that had one.
    """

    def __init__(self, port: int, *, cuts: int, words: int) -> None:
        self._port, self._cuts, self._words = port, cuts, words
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.resumed: list[int] = []
        self._still, self._cut = threading.Semaphore(0), threading.Semaphore(0)

    def serve(self) -> None:
        """Until ``close``."""
        with suppress(OSError):
            while True:
                browser, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                for work in (self._ask, self._answer):
                    threading.Thread(target=work, args=(browser, server), daemon=True).start()

    def cut(self, read: Callable[[], object]) -> None:
        """Wait until a stream stands still, and until what came of it is ``read``; then hang up."""
        assert self._still.acquire(timeout=60)
        read()
        self._cut.release()

    def close(self) -> None:
        """Take no further connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _ask(self, browser: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while sent := browser.recv(65536):
                self.resumed += map(int, RESUMED.findall(sent))
                server.sendall(sent)
        _hang_up(browser, server)

    def _answer(self, browser: socket.socket, server: socket.socket) -> None:
        left = self._words
        with suppress(OSError):
            while told := server.recv(65536):
                words = [found.end() for found in WORD.finditer(told)]
                if self._cuts and len(words) >= left:
                    self._cuts -= 1
                    browser.sendall(told[: words[left - 1]])
                    self._still.release()
                    self._cut.acquire(timeout=60)
                    break
                left -= len(words)
                browser.sendall(told)
        _hang_up(browser, server)


def _hang_up(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@contextmanager
def cutting(port: int, *, cuts: int, words: int) -> Iterator[Cutter]:
    """A ``Cutter`` that serves while the block runs."""
    cutter = Cutter(port, cuts=cuts, words=words)
    thread = threading.Thread(target=cutter.serve)
    thread.start()
    try:
        yield cutter
    finally:
        cutter.close()
        thread.join()
