"""Debian's Chromium, driven by Playwright against the service on a socket of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import pytest
import uvicorn
from playwright.async_api import Browser, Page, async_playwright
from starlette.types import ASGIApp

_AXE = files("axe_playwright_python").joinpath("axe.min.js")


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The browser, without a window; skips loudly where there is none, and fails where nothing skips."""
    path = shutil.which("chromium")
    if path is None:
        said = "there is no chromium: the pages are not tried in a browser (apt-get install chromium)"
        if os.environ.get("COMMS_TEST_NO_SKIP"):
            pytest.fail(said)
        pytest.skip(said)
    async with async_playwright() as playwright:
        sandbox = os.geteuid() != 0  # as root it refuses to start with one
        browser = await playwright.chromium.launch(executable_path=path, chromium_sandbox=sandbox)
        yield browser
        await browser.close()


@contextlib.contextmanager
def listener() -> Any:
    """A socket, and the address that a browser finds it at."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        yield opened, f"http://127.0.0.1:{opened.getsockname()[1]}"


@contextlib.asynccontextmanager
async def served(application: ASGIApp, on: socket.socket) -> AsyncIterator[None]:
    """The application in this process."""
    config = uvicorn.Config(application, log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment] # the test run keeps its own
    running = asyncio.create_task(server.serve([on]))
    yield
    server.should_exit = True
    await running


async def accessibility_complaints(page: Page) -> list[str]:
    """What axe-core has against the page as it stands (WCAG 2.2 AA and best practices)."""
    await page.evaluate(_AXE.read_text())
    found = await page.evaluate("axe.run()")
    assert len(found["passes"]) > 5
    return [f"{each['id']}: {node['html']}" for each in found["violations"] for node in each["nodes"]]
