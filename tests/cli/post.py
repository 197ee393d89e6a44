"""A mail server whose answer to a mail comes when the test wants it to."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cli.service import until

_PATIENCE = 20.0


class Post(socketserver.ThreadingTCPServer):
    """Speaks as much SMTP (RFC 5321) as a client needs. A mail stays in flight until `let_go`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Talk)
        self.arrived = 0
        self._free = threading.Event()

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def await_mails(self, count: int) -> None:
        """Return once so many have arrived."""
        until(lambda: self.arrived >= count)

    def let_go(self) -> None:
        """Take all that arrived, and all that will."""
        self._free.set()

    def take(self) -> None:
        """A mail is here: answer it when it may go."""
        self.arrived += 1
        self._free.wait(_PATIENCE)


class _Talk(socketserver.StreamRequestHandler):
    server: Post

    def handle(self) -> None:
        self.wfile.write(b"220 post.test\r\n")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                while self.rfile.readline() not in {b".\r\n", b""}:
                    pass
                self.server.take()
            self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 fine\r\n")


@contextmanager
def post_office() -> Iterator[Post]:
    """The server, from its first mail to its last."""
    with Post() as post:
        thread = threading.Thread(target=post.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield post
        finally:
            post.let_go()
            post.shutdown()
            thread.join()
