from __future__ import annotations

import asyncio

import pytest

from comms.gather import Gather


@pytest.mark.anyio
async def test_what_arrives_during_a_write_is_written_together() -> None:
    groups: list[list[int]] = []
    first, go = asyncio.Event(), asyncio.Event()

    async def write(group: list[int]) -> list[int | Exception]:
        groups.append(group)
        first.set()
        await go.wait()
        return [item * 2 for item in group]

    gather = Gather(write, largest=3)
    one = asyncio.create_task(gather.submit(1))
    await first.wait()
    others = [asyncio.create_task(gather.submit(n)) for n in (2, 3, 4, 5)]
    await asyncio.wait(others, timeout=0)
    go.set()
    assert await asyncio.gather(one, *others) == [2, 4, 6, 8, 10]
    assert groups == [[1], [2, 3, 4], [5]]


@pytest.mark.anyio
async def test_an_answer_that_is_an_exception_is_its_own_submitters_alone() -> None:
    async def write(group: list[int]) -> list[int | Exception]:
        return [ValueError("odd") if item % 2 else item for item in group]

    gather = Gather(write, largest=10)
    answers = await asyncio.gather(*(gather.submit(n) for n in (1, 2)), return_exceptions=True)
    assert isinstance(answers[0], ValueError)
    assert answers[1] == 2


@pytest.mark.anyio
async def test_a_failed_write_is_told_to_all_and_the_next_one_goes_on() -> None:
    fail = True

    async def write(group: list[int]) -> list[int | Exception]:
        if fail:
            raise OSError("away")
        return list(group)

    gather = Gather(write, largest=10)
    answers = await asyncio.gather(*(gather.submit(n) for n in (1, 2)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [OSError, OSError]
    fail = False
    assert await gather.submit(3) == 3
