"""The package's form: what an installation checks, and what `tavo plugin validate` names."""

from __future__ import annotations

from marketplace_db.errors import ManifestError, PackageError
from marketplace_db.package import inspect_package
from tavo.kit.validate import validate
from tavo.operator.vetting.report import Material, Outcome, failed_if


def run(material: Material) -> Outcome:
    """Inspect the package again, whoever did before, and validate what is in it."""
    package = material.package
    try:
        inspected = inspect_package(package.path)
    except (PackageError, ManifestError) as error:
        return failed_if([str(error)], good="")
    problems = [] if inspected.digest == package.digest else ["the file has another digest"]
    # the wheels were compared with the lock when the package was handed in
    found = [one for one in validate(material.folder).problems if one.where != "requirements.lock"]
    problems += [f"{one.where}: {one.what}" for one in found if one.kind == "problem"]
    notes = [f"note: {one.where}: {one.what}" for one in found if one.kind == "note"]
    files = {str(one.path): one.digest.hex for one in package.files}
    wheels = {wheel.filename: wheel.digest.hex for wheel in package.locked}
    return failed_if(
        problems,
        good=f"{len(files)} files in canonical form, {len(wheels)} wheels locked",
        notes=notes,
        facts={"files": files, "wheels": wheels},
    )
