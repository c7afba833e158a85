"""The pages of a catalog: a thin Datasette plugin over a verified file.

Rules this package keeps:
- it shows a `VerifiedFile` and nothing else, attached immutable, with SQL and download off;
- no request writes: every method but GET and HEAD is refused before Datasette sees it;
- requests for foreign host names are refused, so a page in the browser cannot rebind a name to us;
- pages carry no script, load nothing from elsewhere, and say what was checked and what was not.

Datasette takes half a second to import: import `serve` or `build_app` only when they are called.
"""

from __future__ import annotations

from marketplace_db.web.server import build_app, serve

__all__ = ["build_app", "serve"]
