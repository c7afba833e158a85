"""What malware does: hidden code, acts on import, secrets, and more than plugin.yaml declares.

Rules of `tavo/scan/packs/vetting`. High ones fail wherever they hold; medium ones fail in the
plugin's own code and are notes in its wheels, which often have a reason. A `vetting-uses-…`
rule fails in the plugin's own code if the permission that it names is not declared.
"""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath

from marketplace_db.manifest import Permissions
from marketplace_db.wheel import unpack_wheel
from signing.digests import Digest
from tavo.operator.vetting.report import Material, Outcome, failed_if, not_done
from tavo.operator.vetting.scanning import look, sentence_of
from tavo.plugins import Finding, Severity
from tavo.scan import packs

PACK = Path(next(iter(packs.__path__))) / "vetting"
_USES = "vetting-uses-"
_START_UP = ("sitecustomize.py", "usercustomize.py")


def run(material: Material) -> Outcome:
    """Look at the plugin's files and at those of its pure wheels."""
    package = material.package
    asked = package.manifest.permissions
    names = [one.path for one in package.files]
    looked = look(material.folder, names, [PACK])
    problems = _start_up(names, "")
    notes: list[str] = []
    left = [f"was not looked at in full: {one}" for one in looked.problems]
    for finding in looked.findings:
        if finding.rule_id.startswith(_USES):
            if undeclared := _undeclared(finding, asked):
                problems.append(f"{sentence_of(finding)} {undeclared}")
        elif finding.severity >= Severity.MEDIUM:
            problems.append(sentence_of(finding))
    used: dict[str, list[str]] = {}
    seen: set[tuple[PurePosixPath, Digest]] = set()
    absent, here = material.divided()
    left += absent
    for wheel in package.locked:
        if wheel.filename not in here:
            continue
        if not wheel.filename.endswith("-none-any.whl"):
            notes.append(f"note: {wheel.filename} may hold compiled code, which was not looked at")
        with tempfile.TemporaryDirectory(prefix="tavo-vet-") as name:
            path = material.wheels[wheel.filename]
            files = unpack_wheel(path, wheel.digest, Path(name), filename=wheel.filename)
            # wheels of one version for several systems have most files in common
            paths = [one.path for one in files if (one.path, one.digest) not in seen]
            seen |= {(one.path, one.digest) for one in files}
            inside = look(Path(name), paths, [PACK])
        problems += _start_up(paths, wheel.filename)
        left += [f"was not looked at in full: {wheel.filename}: {one}" for one in inside.problems]
        for finding in inside.findings:
            if finding.rule_id.startswith(_USES):
                kind = finding.rule_id.removeprefix(_USES)
                kinds = used.setdefault(wheel.filename, [])
                if kind not in kinds:
                    kinds.append(kind)
            elif finding.severity >= Severity.HIGH:
                problems.append(sentence_of(finding, inside=wheel.filename))
            else:
                notes.append(f"note: {sentence_of(finding, inside=wheel.filename)}")
    notes = [
        *(f"note: {name} has code for {', '.join(sorted(kinds))}" for name, kinds in used.items()),
        *notes,
    ]
    facts = {"wheels_use": {name: sorted(kinds) for name, kinds in sorted(used.items())}}
    if left and not problems:
        return not_done(*left, *notes, facts=facts)
    return failed_if([*problems, *left], good="nothing that malware does", notes=notes, facts=facts)


def _undeclared(finding: Finding, asked: Permissions) -> str:
    """Return what plugin.yaml lacks for what was found, nothing if it declares it."""
    kind = finding.rule_id.removeprefix(_USES)
    if kind == "env":
        name = finding.evidence.get("$NAME", "").strip("\"'")
        if name and name in asked.env:
            return ""
        return f"plugin.yaml does not ask for env: {name or 'a name that is worked out'}"
    declared = {
        "network": bool(asked.network) or asked.target,
        "subprocess": bool(asked.subprocess),
        "native": asked.native_code,
    }[kind]
    return "" if declared else "plugin.yaml does not ask for that"


def _start_up(names: list[PurePosixPath], inside: str) -> list[str]:
    """Name files that Python runs by itself when it starts, or an installer runs."""
    where = f"{inside}: " if inside else ""
    return [
        f"{where}{name}: is run when Python starts, or when something is installed"
        for name in names
        if name.suffix.lower() == ".pth"
        or (len(name.parts) == 1 and name.name in (*_START_UP, "setup.py"))
    ]
