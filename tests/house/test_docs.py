"""Documentation that can't lie: its pages are read, and what they say is run."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest
from tests.providers.smtp_servers import free_port
from tests.running import COMMAND, demo

from comms.domain.content import Rendered
from comms.domain.lifecycle import mermaid
from comms.providers import catalogue
from comms.providers.base import Accepted, Misconfigured, Outgoing
from comms.providers.events import Event, Forged, Incoming
from comms.store.database import connect_once

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]

# `make` as a page may call it: its targets must be there, and what they do is proved elsewhere.
MAKE = f"""#!/bin/sh
for word in "$@"; do case $word in *=*) ;; *) grep -q "^$word:" {ROOT}/Makefile || exit 2 ;; esac; done
"""


_ID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z"


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [Block(language, text) for language, text in found]


def test_the_life_cycle_is_drawn_as_the_table_says() -> None:
    assert mermaid() in (ROOT / "docs" / "lifecycle.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)(#[^)]*)?\)", page.read_text()):
        leads_to = (page.parent / target) if target else page
        assert leads_to.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", leads_to.read_text(), re.MULTILINE)
            assert anchor[1:] in [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles]


def test_every_test_that_a_page_names_is_there() -> None:
    there = set(
        re.findall(r"def (test_\w+)", "".join(p.read_text() for p in ROOT.glob("tests/**/test_*.py")))
    )
    named = {name for page in PAGES for name in re.findall(r"`(test_\w+)`", page.read_text())}
    assert named <= there, named - there


def test_every_decision_is_listed() -> None:
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text()
    for page in ROOT.glob("docs/decisions/0*.md"):
        assert f"[{page.name[:4]}]({page.name})" in listed
        assert page.read_text().splitlines()[0].removeprefix("# ") in listed


def test_every_library_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    listed = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert listed
    reasons = (ROOT / "docs" / "decisions" / "0006-what-it-is-built-on.md").read_text()
    for name in re.findall(r'"([a-z0-9-]+)', listed[1]):
        assert re.search(rf"^\|[^|]*\b{name}\b", reasons, re.MULTILINE), name


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Iterator[dict[str, str]]:
    """What a reader has: `make demo` running at COMMS, its token, one for any brand, an empty database."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "make").write_text(MAKE)
    (folder / "make").chmod(0o755)
    asyncio.run(_make_database(postgres))
    with demo(folder / "data") as (address, token):
        yield os.environ | {
            "COMMS": address,
            "TOKEN": token,
            "ADMIN_TOKEN": _admin_token(folder / "data"),
            "DATABASE_URL": postgres.replace("/postgres?", "/docs?"),
            "PATH": f"{folder}:{COMMAND.parent}:{os.environ['PATH']}",
        }


def _admin_token(data_dir: Path) -> str:
    command = [
        str(COMMAND),
        "token",
        "create",
        "--brand",
        "*",
        "--scope",
        "admin:comms",
        "--data-dir",
        str(data_dir),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


async def _make_database(dsn: str) -> None:
    connection = await connect_once(dsn)
    await connection.execute("create database docs")
    await connection.close()


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(b.language == "sh" for b in blocks(page))], ids=lambda p: p.name
)
def test_commands_do_what_the_page_says(page: Path, surroundings: dict[str, str], tmp_path: Path) -> None:
    """One shell runs a page from top to bottom; JSON under a command is what that command prints last."""
    made = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", _script(blocks(page))],
        cwd=tmp_path,
        env=surroundings | {"COMMS_PORT": str(free_port())},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert made.returncode == 0, made.stderr
    for number, block in enumerate(blocks(page)):
        if block.language == "json":
            said = (tmp_path / f"said-{number - 1}").read_text().strip().splitlines()[-1]
            assert _is_like(json.loads(block.text), json.loads(said)), said


def _script(page: list[Block]) -> str:
    parts = [f"{{\n{b.text}}} > {{}}/said-{n}" for n, b in enumerate(page) if b.language == "sh"]
    ends = "trap 'kill $(jobs -p) 2> /dev/null || true; wait' EXIT; here=$PWD\n"
    return ends + "\n".join(part.replace("{}/said", '"$here"/said') for part in parts)


def _is_like(expected: Any, said: Any) -> bool:
    """Equal, but for ids and times: those need only look alike."""
    if isinstance(expected, dict):
        return list(expected) == list(said) and all(_is_like(expected[name], said[name]) for name in expected)
    if isinstance(expected, list):
        return len(expected) == len(said) and all(map(_is_like, expected, said))
    return bool(expected == said or (isinstance(expected, str) and _masked(expected) == _masked(str(said))))


def _masked(text: str) -> str:
    return re.sub(_ID, "an id", re.sub(_TIME, "a time", text))


def _check_that_the_page_hears() -> None:
    parse = catalogue.KINDS["spool"].parse_events
    assert parse
    now, body = (
        datetime(2030, 1, 1, tzinfo=UTC),
        b'{"id": "7", "what": "carried", "at": "2030-01-01T00:00:00Z"}',
    )
    stamp = str(int(now.timestamp()))
    mac = hmac.new(b"shared", stamp.encode() + body, "sha256").hexdigest()
    incoming = Incoming("", {"X-Spool-Time": stamp, "X-Spool-Signature": mac}, body, now)
    [event] = parse(None, {"webhook_secret": "shared"}, incoming)
    assert event == Event("7", "delivered", now)
    for forged in (
        replace(incoming, body=body + b" "),
        replace(incoming, headers={}),
        replace(incoming, now=now + timedelta(hours=1)),
    ):
        with pytest.raises(Forged):
            parse(None, {"webhook_secret": "shared"}, forged)
    with pytest.raises(Forged):
        parse(None, {}, incoming)


def test_the_provider_that_the_page_adds_keeps_the_protocol(tmp_path: Path) -> None:
    page = ROOT / "docs" / "adding-a-provider.md"
    spoken: dict[str, Any] = {"__name__": "spool"}
    for block in (each for each in blocks(page) if each.language == "python"):
        exec(compile(block.text, page.name, "exec"), spoken)
    catalogue.KINDS["spool"] = spoken["KIND"]
    try:
        catalogue.check("spool", {"directory": str(tmp_path)}, set())
        provider = catalogue.build("spool", {"directory": str(tmp_path)}, {}, None)  # type: ignore[arg-type]
        outgoing = Outgoing(
            UUID(int=1), "k-0", "b", "p", "sms", "spool", "+15555550123", Rendered(None, "Hi")
        )
        for _ in range(2):
            assert asyncio.run(provider.send(outgoing)) == Accepted("k-0.json")
        assert msgspec.json.decode((tmp_path / "k-0.json").read_bytes())["to"] == "+15555550123"
        gone = catalogue.build("spool", {"directory": str(tmp_path / "gone")}, {}, None)  # type: ignore[arg-type]
        assert asyncio.run(gone.send(outgoing)) == Misconfigured("no_such_directory")
        catalogue.check("spool", {"directory": str(tmp_path)}, {"webhook_secret"})
        _check_that_the_page_hears()
    finally:
        del catalogue.KINDS["spool"]
