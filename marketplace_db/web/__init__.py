"""A marketplace on the web: pages of a verified catalog in Datasette, and the REST API around them.

Rules this package keeps:
- it shows a `VerifiedFile` and nothing else, attached immutable, with SQL and download off;
- no request to Datasette writes: every method but GET and HEAD is refused before it sees it; what
  the API and its forms write goes into the market's own database, by `marketplace_db`'s own steps;
- requests for foreign host names are refused, so a page in the browser cannot rebind a name to us;
- pages carry no script, load nothing from elsewhere, and say what was checked and what was not.

It starts nothing: what a row asks for is done by the workers of `tavo.operator`. Datasette takes
half a second to import: import this package only when it is called.
"""

from __future__ import annotations

from marketplace_db.web.desk import Desk
from marketplace_db.web.limits import ServiceLimits
from marketplace_db.web.server import build_app, serve, serve_market

__all__ = ["Desk", "ServiceLimits", "build_app", "serve", "serve_market"]
