"""`make scan`: are our libraries known to be weak, and did a secret get into the repository?

pip-audit asks PyPI for advisories of each version in the locks. Where PyPI does not answer, or does not know
a version, that is said in as many words, and is no failure: nothing was found because nothing was looked at.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_KNOWN = Path(__file__).with_name("known_secrets.txt")
_OURS = ("src", "bench", ".ci", "Makefile", "pyproject.toml")
"""Where nothing that looks like a secret has any business."""

_GUESSES = ("KeywordDetector", "Base64HighEntropyString", "HexHighEntropyString", "BasicAuthDetector")
"""Examples and tests are full of words like these; keys of vendors are looked for there, too."""


def advisories(tools: Path) -> Iterator[str]:
    """What is known of a library's version; on standard output what could not be asked."""
    for lock in sorted(ROOT.glob("requirements*.lock")):
        asked: list[str | Path] = [
            "--vulnerability-service",
            "pypi",
            "--requirement",
            lock,
            "--no-deps",
            "--disable-pip",
        ]
        ended = _run(tools, "pip-audit", *asked, "--format", "json", "--progress-spinner", "off")
        try:
            looked_up: list[dict[str, Any]] = json.loads(ended.stdout)["dependencies"]
        except (ValueError, KeyError):
            _say(f"NOT SCANNED: {lock.name}: PyPI's advisories could not be read: {_last_line(ended.stderr)}")
            continue
        skipped = [each for each in looked_up if "skip_reason" in each]
        if skipped:
            _say(
                f"NOT SCANNED: {lock.name}: PyPI told nothing of {len(skipped)} of {len(looked_up)} versions."
            )
        _say(f"{lock.name}: {len(looked_up) - len(skipped)} versions looked up.")
        for each in looked_up:
            for known in each.get("vulns", []):
                mended = ", ".join(known["fix_versions"]) or "no version"
                yield f"{lock.name}: {each['name']} {each['version']}: {known['id']}, mended in {mended}"


def secrets(tools: Path) -> Iterator[str]:
    """Where something stands that looks like one; never what."""
    known = set(_KNOWN.read_text().split())
    tracked = _run(tools, "git", "ls-files").stdout.split()
    strictly = [path for path in tracked if path.startswith(_OURS)]
    loosely = [path for path in tracked if path not in strictly]
    lenient = [word for guess in _GUESSES for word in ("--disable-plugin", guess)]
    for paths, words in ((strictly, []), (loosely, lenient)):
        found = json.loads(_run(tools, "detect-secrets", "scan", *words, *paths).stdout)["results"]
        for path, hits in found.items():
            yield from (
                f"{path}, line {hit['line_number']}: {hit['type']}"
                for hit in hits
                if hit["hashed_secret"] not in known
            )
    _say(f"{len(tracked)} files searched for secrets.")


def _run(tools: Path, name: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = tools / name if (tools / name).exists() else name
    return subprocess.run([command, *words], cwd=ROOT, capture_output=True, text=True, check=False)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason was given"])[-1]


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def main() -> None:
    """Status 1 where anything was found; `sys.argv[1]` is the folder of the tools."""
    tools = Path(sys.argv[1]).absolute()
    found = [*advisories(tools), *secrets(tools)]
    for each in found:
        _say(f"FOUND: {each}")
    raise SystemExit(bool(found))


if __name__ == "__main__":
    main()
