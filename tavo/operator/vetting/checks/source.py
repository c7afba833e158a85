"""Whether the package is what its author's source gives when it is packed again."""

from __future__ import annotations

import tempfile
from pathlib import Path

from marketplace_db.errors import ManifestError, PackageError
from marketplace_db.package import build_package, inspect_package
from tavo.operator.vetting.report import Material, Outcome, failed_if, not_done

_MOST_NAMED = 10


def run(material: Material) -> Outcome:
    """Pack the source and compare digests; name the files that differ."""
    if material.source is None:
        return not_done("no source was given; name its folder with --source")
    with tempfile.TemporaryDirectory(prefix="tavo-vet-") as folder:
        out = Path(folder) / "package.zip"
        try:
            digest = build_package(material.source, out)
        except (PackageError, ManifestError) as error:
            return failed_if([f"the source cannot be packed: {error}"], good="")
        if digest == material.package.digest:
            return failed_if([], good=f"the source packs to sha256 {digest.hex}")
        theirs = {str(one.path): one.digest for one in material.package.files}
        ours = {str(one.path): one.digest for one in inspect_package(out).files}
    problems = [f"the source packs to sha256 {digest.hex}, which is another package"]
    for name in sorted(theirs.keys() | ours.keys()):
        if name not in ours:
            problems.append(f"{name}: is in the package and not in the source")
        elif name not in theirs:
            problems.append(f"{name}: is in the source and not in the package")
        elif ours[name] != theirs[name]:
            problems.append(f"{name}: differs from the source")
    return failed_if(problems[: _MOST_NAMED + 1], good="", facts={"repacked": digest.hex})
