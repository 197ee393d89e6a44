from __future__ import annotations

import re
from pathlib import Path

from comms.domain.lifecycle import mermaid

ROOT = Path(__file__).parents[2]


def test_the_life_cycle_is_drawn_as_the_table_says() -> None:
    assert mermaid() in (ROOT / "docs" / "lifecycle.md").read_text()


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
