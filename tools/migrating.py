"""Writes the tables of `docs/guides/migrating.md` that are made of those behind `kirsch migrate`.

`python tools/migrating.py` writes them, `--check` ends with 1 if they are stale.
"""

import re
import sys
from pathlib import Path

from kirsch._migrate import TABLES
from kirsch._migrate._table import guide

PAGE = Path(__file__).resolve().parent.parent / "docs" / "guides" / "migrating.md"


def written(page: str) -> str:
    """The page with every table as it is to be."""
    for table in TABLES:
        begin = f"<!-- {table.server}: made by `make docs`. -->\n\n"
        place = re.search(re.escape(begin) + r"(?:\|.*\n)*\n?", page)
        assert place is not None, f"no place for {table.server}"
        page = f"{page[: place.start()]}{begin}{guide(table)}\n{page[place.end() :]}"
    return page


def main() -> int:
    """Writes the page, or checks it."""
    stands = PAGE.read_text("utf-8")
    page = written(stands)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page, "utf-8")
    elif page != stands:
        print(f"{PAGE.name} is stale; write it with: make docs")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
