from __future__ import annotations

import asyncio
import itertools
import os
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.http import spool
from comms.http.lines import Line, Lines, Window
from comms.http.spool import Spool

pytestmark = pytest.mark.anyio

PIECES = [random.Random(n).randbytes(n * 7919 % 150_000) for n in range(60)]


async def taken(from_spool: Spool) -> bytes:
    heard = b""
    while piece := await from_spool.take():
        heard += piece
    return heard


async def test_what_nobody_has_heard_yet_comes_out_as_it_went_in() -> None:
    made = Spool()
    for piece in PIECES:
        made.put(piece)
    made.close()
    assert await taken(made) == b"".join(PIECES)
    made.release()


async def test_who_listens_meanwhile_hears_the_same() -> None:
    made = Spool()
    listening = asyncio.create_task(taken(made))
    for piece in PIECES:
        made.put(piece)
        await asyncio.sleep(0)
    made.close()
    assert await listening == b"".join(PIECES)
    made.release()


async def test_much_that_nobody_hears_takes_no_memory() -> None:
    made = Spool()
    for _ in range(1000):
        made.put(b"x" * 10_000)
    assert len(made._newest) < 100_000
    made.release()


async def test_where_the_disk_is_full_nothing_is_lost_and_more_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_file(**_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", no_file)
    made = Spool()
    for piece in PIECES:
        made.put(piece)
    waiting = asyncio.create_task(made.room())
    await asyncio.wait([waiting], timeout=0)
    assert not waiting.done()
    made.close()
    assert await taken(made) == b"".join(PIECES)
    await waiting


async def test_more_than_the_file_may_hold_waits_until_some_was_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spool, "_MOST", 100_000)
    made = Spool()
    made.put(b"x" * 200_000)
    waiting = asyncio.create_task(made.room())
    await asyncio.wait([waiting], timeout=0)
    assert not waiting.done()
    while not waiting.done():
        await made.take()
        await asyncio.wait([waiting], timeout=0)
    made.release()


async def test_the_file_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = Spool()
    made.put(b"x" * 200_000)
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - one look
    made.release()


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_lines_do_not_depend_on_where_pieces_end(body: bytes, cuts: list[int]) -> None:
    lines, found = Lines(), list[Line]()
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    for begin, end in itertools.pairwise(edges):
        found += lines.feed(body[begin:end])
    found += lines.end()
    expected = [(n, text) for n, text in enumerate(body.split(b"\n"), 1) if text.strip()]
    assert [tuple(each) for each in found] == expected


async def test_a_full_window_opens_as_soon_as_one_has_left() -> None:
    window = Window(2, 100)
    await window.enter(10)
    await window.enter(80)
    waiting = asyncio.create_task(window.enter(50))
    for size, enters in ((10, False), (80, True)):
        window.leave(size)
        await asyncio.wait([waiting], timeout=0.05)
        assert waiting.done() is enters
