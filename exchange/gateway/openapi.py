"""The OpenAPI 3.1 document as a file; committed, so that a change of the API is seen.

`python -m exchange.gateway.openapi --write docs/openapi.json` makes it, `--check` fails when the committed one differs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from exchange.gateway.app import described_app
from exchange.gateway.committed import write_or_check

DOCUMENT: Final = Path("docs", "openapi.json")


def document() -> str:
    """The document as it is committed."""
    return json.dumps(described_app().openapi(), indent=1, ensure_ascii=False, sort_keys=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write the document, or compare it with the committed one (exit status 1: they differ)."""
    return write_or_check("exchange.gateway.openapi", DOCUMENT, document, arguments)


if __name__ == "__main__":
    sys.exit(main())
