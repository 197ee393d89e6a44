"""Logs go to standard error: for people where it is a terminal, as JSON lines elsewhere.

Log names, ids, counts and durations. Never a value: no recipient, variable, content or secret.
"""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import Processor

_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def set_up(level: str) -> None:
    """Direct our log lines and the libraries' to standard error, from `level` (debug ... error) up."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter())
    logging.basicConfig(handlers=[handler], level=threshold, force=True)
    # It tells of every try to reconnect, with a traceback; we say that the database is away ourselves.
    logging.getLogger("asyncpg").setLevel(logging.ERROR)
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,  # else each line, written or not, builds its logger anew
    )


def _formatter() -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering()],
        foreign_pre_chain=_SHARED,
    )


def _rendering() -> list[Processor]:
    """How a line looks. A traceback names places; one that showed local variables would show values."""
    if sys.stderr.isatty():
        return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    where = structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    )
    return [where, structlog.processors.JSONRenderer()]
