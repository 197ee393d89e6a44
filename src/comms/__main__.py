"""`python -m comms` and the command `comms`."""

from __future__ import annotations

from comms.cli.main import main

if __name__ == "__main__":
    main()
