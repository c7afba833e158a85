"""From what a user names to a source: a folder or an address."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from signing.client import DirectorySource, HttpSource, Source
from signing.errors import printable
from tavo.errors import ConfigError

__all__ = ["source_of"]

_THIS_MACHINE = frozenset({"127.0.0.1", "localhost", "::1"})


def source_of(name: str, *, offline: bool = False, plain_http: Collection[str] = ()) -> Source:
    """Make a source of a folder or an https address. Raises ConfigError for anything else.

    `plain_http` are hosts that may be asked without https; this machine always may.
    """
    if "://" not in name:
        path = Path(name).expanduser()
        if not (path / "metadata").is_dir():
            raise ConfigError(
                f"{name}: not a repository, it has no folder metadata",
                hint="Name the folder that `tavo mirror sync` wrote, or a build's dist/repository.",
            )
        return DirectorySource(path.resolve())
    try:
        parts = urlsplit(name)
        host, scheme = (parts.hostname or "").rstrip("."), parts.scheme.lower()
    except ValueError:
        host = scheme = ""
    if not host or scheme not in ("http", "https"):
        raise ConfigError(f"{printable(name)}: a source is a folder or an https:// address")
    if scheme == "http" and host not in _THIS_MACHINE:
        if host not in {one.lower().rstrip(".") for one in plain_http}:
            raise ConfigError(
                f"{printable(name)}: is not https; what is fetched is signed, but everybody on the"
                " way sees what that is and can hold it back",
                hint="Use its https:// address, or allow the host by name in the user"
                f' configuration: registry.plain_http = ["{printable(host)}"].',
            )
        if parts.username or parts.password:
            raise ConfigError(
                f"http://{printable(host)}: a password would be sent in the clear",
                hint="Use its https:// address, or leave the password out.",
            )
    if offline:
        raise ConfigError(
            f"{name}: needs the network, and --offline was given",
            hint="Name a folder with --mirror, or leave --offline out.",
        )
    return HttpSource(name)
