"""S28: what we are built of is what it was, and what is ours to keep is not in the repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted(ROOT.glob("requirements*.lock"))

SECRETS = re.compile(
    r"AKIA(?!IOSFODNN7EXAMPLE)[0-9A-Z]{16}|\bgh[pousr]_[0-9A-Za-z]{36}|\bxox[baprs]-[0-9A-Za-z-]{10,}|\bsk_live_[0-9A-Za-z]{20,}"
    r"|\bcomms_[A-Za-z0-9_-]{43}\b|\bSG\.[\w-]{22}\.[\w-]{43}|-----BEGIN [A-Z ]*PRIVATE KEY-----\\?n?\s*[A-Za-z0-9+/=]{40}"
    r"|\bpypi-[A-Za-z0-9_-]{50,}|\bnpm_[A-Za-z0-9]{36}"
)
"""Keys as those who make them spell them; an example of Amazon's own is none."""


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_library_is_pinned_by_its_hashes_and_by_no_address(lock: Path) -> None:
    pinned = re.split(r"\n(?! )", lock.read_text().strip())
    assert pinned
    for each in pinned:
        assert re.match(r"[a-z0-9._-]+(\[[a-z0-9,-]+\])?==[^\s;]+( ; [^\\]+)? \\\n", each), each[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", each), each[:80]
    assert not re.search(r"://|^--?(index|extra|find)", lock.read_text(), re.MULTILINE)


def test_what_is_installed_is_checked_against_its_hash() -> None:
    installs = re.findall(
        r"pip\) install .*|/pip install .*|\(PIP\) install .*", (ROOT / "Makefile").read_text()
    )
    assert len(installs) >= 4
    for line in installs:
        assert "--require-hashes" in line or "--no-deps -e ." in line, line


def test_no_secret_is_kept_here() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no repository: a release holds what the repository held")
    found = []
    for name in listed.stdout.split():
        text = (ROOT / name).read_bytes().decode(errors="ignore") if (ROOT / name).is_file() else ""
        found += [(name, text.count("\n", 0, hit.start()) + 1) for hit in SECRETS.finditer(text)]
    assert found == []


def test_a_secret_would_be_noticed() -> None:
    made = [
        "AK" + "IA" + "B" * 16,
        "gh" + "p_" + "a" * 36,
        "com" + "ms_" + "x" * 43,
        "-----BEGIN PRIVATE " + "KEY-----\n" + "A" * 64,
    ]
    assert all(SECRETS.search(f"key = '{each}'") for each in made)
