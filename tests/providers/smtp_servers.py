"""Real SMTP servers to talk to: Postfix's smtp-sink, which misbehaves as told, and mail-devel with TLS and AUTH."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
import trustme

SINK = shutil.which("smtp-sink", path=f"{os.environ['PATH']}:/usr/sbin")


def needs_sink() -> None:
    """Skip loudly where Postfix is not installed; fail in CI, where nothing skips."""
    if SINK is None:
        if os.environ.get("COMMS_TEST_NO_SKIP"):
            pytest.fail("smtp-sink is missing: install postfix")
        pytest.skip("smtp-sink is missing: install postfix to run the SMTP tests")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def sink(folder: Path, *options: str) -> Iterator[int]:
    """An smtp-sink on a free port that keeps every mail in `folder`, a file each."""
    needs_sink()
    port = free_port()
    user = ["-u", "root"] if os.geteuid() == 0 else []  # it writes into a folder that only we may enter
    command = [str(SINK), *user, "-d", f"{folder}/m.", *options, f"127.0.0.1:{port}", "100"]
    with running(command, port):
        yield port


def mails(folder: Path) -> list[tuple[EmailMessage, str]]:
    """Every mail that a sink kept, with the lines in which it noted the envelope."""
    return [_read(path.read_bytes()) for path in sorted(folder.glob("m.*"))]


def _read(kept: bytes) -> tuple[EmailMessage, str]:
    parsed = email.message_from_bytes(kept, policy=email.policy.default)
    envelope = "\n".join(f"{name}: {value}" for name, value in parsed.items() if name.startswith("X-"))
    return parsed, envelope


@contextlib.contextmanager
def mailbox(folder: Path, authority: trustme.CA, *options: str) -> Iterator[tuple[int, int]]:
    """mail-devel: a port with STARTTLS and one with TLS, both wanting a login (`u@example.org`, `pw`)."""
    certificate = authority.issue_cert("localhost")
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(b"".join(each.bytes() for each in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    plain, tls, imap = free_port(), free_port(), free_port()
    script = Path(sys.executable).parent / "mail_devel"
    command = [
        sys.executable, str(script), "--host", "127.0.0.1", "--user", "u@example.org", "--password", "pw",
        "--cert", str(cert), "--key", str(key), "--no-http", "--imap-port", str(imap),
        "--smtp-port", str(plain), "--smtps-port", str(tls), *options,
    ]  # fmt: skip
    with running(command, plain, tls):
        yield plain, tls


@contextlib.asynccontextmanager
async def scripted(
    part: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """A server that plays one part, for what no real one can be told to do; its port."""
    playing: set[asyncio.Task[None]] = set()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        playing.add(task)
        try:
            await part(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async with await asyncio.start_server(play, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*playing)


@contextlib.contextmanager
def running(command: list[str], *ports: int, env: dict[str, str] | None = None) -> Iterator[None]:
    """A server of somebody else's, until the end of the test; there is one once it listens."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    try:
        for port in ports:
            _wait(process, port)
        yield
    finally:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    while True:
        if process.poll() is not None:
            pytest.fail(f"the test server ended with status {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
