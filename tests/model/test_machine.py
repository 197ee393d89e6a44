"""A few lives of the machine in every run of the tests; `make machine` is the long one."""

from __future__ import annotations

from tests.model.machine import Machine
from tests.model.run import drive


def test_the_service_does_what_the_model_says(postgres: str) -> None:
    """Where it fails, `make machine STEPS=240 SEED=11` looks for the shortest way there."""
    drive(postgres, steps=240, seed=11, shrinks=False)
    assert len(Machine.reached) >= 6
