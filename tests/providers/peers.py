"""Peers in Node, which push services' tests talk to: an implementation of HTTP/2, clients and a browser not ours."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import trustme

SCRIPTS = Path(__file__).parents[1] / "peers"
PACKAGES = Path(__file__).parents[2] / ".venv" / "peers"
NODE = shutil.which("node")


def needs(what: str, *, there: object) -> None:
    """Skip loudly where it is missing; fail in CI, where nothing skips."""
    if not there:
        if os.environ.get("COMMS_TEST_NO_SKIP"):
            pytest.fail(f"{what} is missing")
        pytest.skip(f"{what} is missing: install nodejs and npm to run this test, then make setup-dev")


def needs_node() -> None:
    needs("node", there=NODE)


def needs_packages() -> None:
    needs("node", there=NODE)
    needs("a package of tests/peers", there=(PACKAGES / "node_modules").is_dir())


class Http2Server:
    """Node's HTTP/2 server: what it was asked, and what it is told to do."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.port = port
        self.url = f"https://localhost:{port}"

    async def was_asked(self) -> dict[str, Any]:
        """The next request that it read whole."""
        assert self._process.stdout
        async with asyncio.timeout(10):
            found: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return found

    async def falls_asleep(self) -> None:
        """Its connections stand, and nothing comes of them."""
        self._process.send_signal(signal.SIGSTOP)
        state = Path(f"/proc/{self._process.pid}/stat")
        while state.read_text().rpartition(")")[2].split()[0] != "T":  # noqa: ASYNC110, ASYNC240 - it takes a moment
            await asyncio.sleep(0.001)

    def wakes_up(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    async def told(self, what: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{what}\n".encode())
        await self._process.stdin.drain()


@contextlib.asynccontextmanager
async def node(script: str, *arguments: str, **environ: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A script of ours, running; it ends when its standard input does."""
    process = await asyncio.create_subprocess_exec(
        str(NODE),
        str(SCRIPTS / script),
        *arguments,
        env=os.environ | environ,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        assert process.stdin
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def said_by(process: asyncio.subprocess.Process) -> Any:
    """Its first line, as JSON."""
    assert process.stdout
    async with asyncio.timeout(20):
        return json.loads(await process.stdout.readline())


@contextlib.asynccontextmanager
async def http2_server(folder: Path, issuer: trustme.CA, **settings: int) -> AsyncIterator[Http2Server]:
    """Node's, with a certificate for localhost."""
    needs_node()
    certificate = issuer.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    arguments = (str(folder / "key.pem"), str(folder / "cert.pem"), json.dumps(settings))
    async with node("http2.mjs", *arguments) as process:
        yield Http2Server(process, await said_by(process))


def trust(issuer: trustme.CA, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process trusts that authority from now on; the file that says so."""
    path = folder / "ca.pem"
    issuer.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path


def peer(module: str) -> Any:
    """The module; skips loudly where it is not installed, and fails where nothing skips."""
    if find_spec(module) is None:
        if os.environ.get("COMMS_TEST_NO_SKIP"):
            pytest.fail(f"{module} is missing: run make setup-dev")
        pytest.skip(f"{module} is missing: run make setup-dev to test against it", allow_module_level=True)
    return import_module(module)
