"""The command as a user runs it, for tests that need a service apart from themselves."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

COMMAND = Path(sys.executable).with_name("comms")


@contextlib.contextmanager
def demo(data_dir: Path) -> Iterator[tuple[str, str]]:
    """Address and token of a service with a demo brand, once its four messages are out."""
    command = [str(COMMAND), "demo", "--port", "0", "--data-dir", str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        lines = iter(service.stdout.readline, "Ctrl-C ends it.\n")
        told = dict(line.split(maxsplit=1) for line in lines if " " in line)
        yield told["Address"].strip(), told["Token"].strip()
        service.terminate()
