"""`python -m hourbook.cli`: the same command without its script; the SSH configuration calls it so."""

from __future__ import annotations

from hourbook.cli.main import main

raise SystemExit(main())
