"""Who takes part in every journey."""

from __future__ import annotations

import pytest

from comms.actions.house import House
from comms.dispatch.worker import Worker
from tests.journeys.story import tools


@pytest.fixture
def worker(house: House) -> Worker:
    """A worker whose slow provider takes no time."""
    return Worker(house, tools(house))
