"""`tavo mirror audit`: prove offline that a mirror continues what was seen before."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tavo.cli.context import session_of
from tavo.errors import InputError
from tavo.printable import printable

__all__ = ["audit"]


def audit(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The mirror's folder.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Write the proofs and the checkpoint there."),
    ] = None,
    since: Annotated[
        Path | None,
        typer.Option("--since", metavar="FILE", help="An earlier checkpoint, from wherever."),
    ] = None,
    catalog: Annotated[
        str,
        typer.Option("--catalog", metavar="SHA256", help="This catalog; default: the newest."),
    ] = "",
) -> None:
    """Prove that a catalog is in the log of releases, and that the log continues an earlier one."""
    from signing.files import write_atomically

    session = session_of(context)
    found = session.mirrors(directory).audit(
        directory, catalog=catalog, since="" if since is None else _note(since)
    )
    files = {"checkpoint.note": found.checkpoint.note.encode(), "inclusion.json": found.inclusion}
    if found.consistency is not None:
        files["consistency.json"] = found.consistency
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
            for name, data in files.items():
                write_atomically(out / name, data)
        except OSError as error:
            raise InputError(f"{out}: cannot be written: {error.strerror}") from error
    earlier = found.earlier
    if session.json:
        session.print_json({
            "origin": found.checkpoint.origin, "size": found.checkpoint.size,
            "root": found.checkpoint.root.hex(), "index": found.release,
            "catalog": found.catalog.hex, "earlier_size": None if earlier is None else earlier.size,
            "bytes": {name: len(data) for name, data in files.items()},
            "keys": [key.hex for key in found.keys],
            "files": [str(out / name) for name in files] if out is not None else [],
        })  # fmt: skip
        return
    print(printable(
        f"{directory}: the catalog {found.catalog.short} is release {found.release + 1} of"
        f" {found.checkpoint.size} in the log {found.checkpoint.origin}"
    ))  # fmt: skip
    if earlier is None:
        session.say("This machine has seen no earlier checkpoint: name one with --since.")
    else:
        print(f"  the log continues the checkpoint of {earlier.size} that was seen before")
    for name, data in files.items() if out is not None else ():
        print(printable(f"  {out / name if out else name}  {len(data)} bytes"))
    for key in found.keys:
        print(f"  signed by one of the catalog's keys: {key.hex}")


def _note(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(8000).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", "") or "is not text"
        raise InputError(f"{path}: the checkpoint cannot be read: {reason}") from error
