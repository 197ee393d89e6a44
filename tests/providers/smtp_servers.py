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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from email.message import EmailMessage
from pathlib import Path

import pytest
import trustme

POSTFIX = shutil.which("postfix", path=f"{os.environ['PATH']}:/usr/sbin")
_SERVICES = """127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
tlsmgr unix - - n 1000? 1 tlsmgr
"""
"""Postfix's own services (master(5)), without a chroot."""

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


@contextlib.contextmanager
def postfix(folder: Path, transports: Mapping[str, int]) -> Iterator[int]:
    """A whole Postfix of its own, which hands each domain's mail on to a port here; its own port."""
    needs_sink()
    if os.geteuid() != 0 or POSTFIX is None:
        if os.environ.get("COMMS_TEST_NO_SKIP"):
            pytest.fail("a Postfix needs root to be started")
        pytest.skip("a Postfix needs root to be started: run as root to test what bounces")
    port = free_port()
    etc, queue, data = (folder / name for name in ("etc", "queue", "data"))
    for each in (etc, queue, data):
        each.mkdir()
    for each in (folder, *folder.parents):  # its processes are not root, and have to pass
        if each.owner() == "root" and each.is_relative_to("/tmp/"):
            each.chmod(each.stat().st_mode | 0o011)
    shutil.chown(data, "postfix")
    routes = ", ".join(f"{{{domain} = smtp:[127.0.0.1]:{to}}}" for domain, to in transports.items())
    (etc / "main.cf").write_text(
        f"""compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = relay.test
mydestination =
mynetworks = 127.0.0.0/8
disable_dns_lookups = yes
smtp_host_lookup = native
transport_maps = inline:{{ {routes} }}
alias_maps =
local_recipient_maps =
maillog_file = /dev/null
maillog_file_prefixes = /dev
"""
    )
    (etc / "master.cf").write_text(_SERVICES.format(port=port))
    command = [POSTFIX, "-c", str(etc)]
    subprocess.run([*command, "start"], check=True, capture_output=True)
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
        yield port
    finally:
        subprocess.run([*command, "stop"], check=True, capture_output=True)


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
