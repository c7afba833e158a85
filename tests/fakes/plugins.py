"""A machine with plugins installed the real way: packed, signed, reviewed, accepted, unpacked.

`PluginMachine` does everything but the catalog's round trip: the release row is made from the
package instead of read from a database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from marketplace_db.acceptance import AcceptedPackage, accept, publisher_claim
from marketplace_db.catalog import ReleaseRow, WheelRow
from marketplace_db.lock import LockedWheel, write_lock
from marketplace_db.manifest import manifest_to_json
from marketplace_db.package import build_package, inspect_package
from marketplace_db.permissions import permission_digest, permission_words
from signing.attest import ReviewerClaim, sign_publisher, sign_reviewer
from signing.digests import Digest
from signing.keys import PrivateKey
from signing.publishers import Namespace, Publishers
from tavo.host.installations import Installation, Installations, VerifiedInstallation
from tavo.host.sandbox.levels import LevelPolicy, SandboxLevel
from tavo.host.state import State
from tavo.host.workers import FileInput
from tests.fakes.operator_market import plugin_folder
from tests.fakes.repository import NOW, key_map

PUBLISHER = PrivateKey.generate()
REVIEWER = PrivateKey.generate()
PUBLISHERS = Publishers(
    namespaces={"acme": Namespace(keys=key_map(PUBLISHER))}, reviewers=key_map(REVIEWER)
)

WORD = """\
from tavo.plugins import Finding, Location, Region, Rule, Severity, StaticAnalysisPlugin


class Plugin(StaticAnalysisPlugin):
    rules = (Rule(id="word", title="The word secret", severity=Severity.HIGH),)

    def analyze_file(self, file_path, content):
        for number, line in enumerate(content.split("\\n"), start=1):
            if "secret" in line:
                start = line.index("secret") + 1
                yield Finding(
                    rule_id="word",
                    message="The word secret.",
                    severity=Severity.HIGH,
                    location=Location(
                        path=file_path,
                        region=Region(start_line=number, start_column=start,
                                      end_line=number, end_column=start + 6),
                    ),
                )
"""


def no_sandbox(full_id: str = "acme/sample") -> LevelPolicy:
    """The control: a user who accepted to run the plugin without any sandbox."""
    return LevelPolicy(accepted={full_id: SandboxLevel.NONE})


def text_file(name: str, content: str = "") -> FileInput:
    """A text file for a plugin."""
    return FileInput(path=PurePosixPath(name), data=content.encode())


@dataclass
class PluginMachine:
    """One user's machine; `folder` holds its state, its store and the publisher's sources."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state = State(self.folder / "state" / "state.db")
        self.installations = Installations(self.state, self.folder / "plugins")
        self._count = 0

    def accepted(
        self,
        main: str = WORD,
        *,
        plugin: str = "sample",
        version: str = "1.0.0",
        more: str = "",
        needs: Sequence[str] = (),
        files: Mapping[str, str | bytes] | None = None,
        wheels: Sequence[Path] = (),
    ) -> AcceptedPackage:
        """Pack, sign, review and accept a plugin with this main.py."""
        self._count += 1
        contents = {"main.py": main, **(files or {})}
        if wheels:
            locked = [_locked(path) for path in wheels]
            contents["requirements.lock"] = write_lock(locked)
            more += "dependencies: [" + ", ".join(f"{w.name}=={w.version}" for w in locked) + "]\n"
        if needs:
            more += "requires_plugins:\n" + "".join(f"  - '{need}'\n" for need in needs)
        source = plugin_folder(
            self.folder / f"source-{self._count}", id=plugin, version=version, more=more,
            files=contents,
        )  # fmt: skip
        package = self.folder / f"package-{self._count}.zip"
        build_package(source, package)
        inspected = inspect_package(package)
        statement = sign_publisher(publisher_claim(inspected, issued=NOW), PUBLISHER)
        review = sign_reviewer(
            ReviewerClaim(
                full_id=f"acme/{plugin}", version=version, package=inspected.digest,
                decision="approve", reports=(), issued=NOW,
            ),
            REVIEWER,
        )  # fmt: skip
        row = ReleaseRow(
            full_id=f"acme/{plugin}", uuid="0", version=version, seq=1, api=1,
            package=inspected.digest, length=inspected.length,
            manifest_digest=inspected.manifest_digest, lock_digest=inspected.lock_digest,
            permission_digest=permission_digest(inspected.manifest),
            publisher_envelope=Digest.of(statement), reviewer_envelopes=(Digest.of(review),),
            wheels=tuple(
                WheelRow(filename=w.filename, digest=w.digest, length=0) for w in inspected.locked
            ),
            yanked=False, yanked_reason="", manifest=manifest_to_json(inspected.manifest),
            published_at="2026-11-22T12:00:00+00:00",
        )  # fmt: skip
        return accept(row, PUBLISHERS, package, statement, [review])

    def install(self, main: str = WORD, **options: object) -> Installation:
        """Install a plugin and accept its permissions; the options are `accepted`'s."""
        wheels: Sequence[Path] = options.get("wheels", ())  # type: ignore[assignment]
        accepted = self.accepted(main, **options)  # type: ignore[arg-type]
        by_name = {path.name: path for path in wheels}
        installation = self.installations.install(accepted, by_name, {"source": "test"})
        self.grant(accepted)
        return installation

    def grant(self, accepted: AcceptedPackage) -> None:
        """Accept everything that a package asks for, variables too."""
        manifest = accepted.inspected.manifest
        self.state.grant(manifest, permission_words(manifest), repository="")

    def of_type(self, plugin_type: str, main: str, *, more: str = "") -> VerifiedInstallation:
        """Install a plugin of another type than static and verify it."""
        manifest = (
            "api: 1\nid: sample\npublisher: acme\nname: Sample\nversion: 1.0.0\n"
            f"plugin_type: {plugin_type}\nentry_point: main:Plugin\ndescription: One.\n"
            f"author: Tests\nlicense: Apache-2.0\n{more}"
        )
        return self.verified(main, files={"plugin.yaml": manifest})

    def verified(self, main: str = WORD, **options: object) -> VerifiedInstallation:
        """Install a plugin and verify it, ready to run."""
        return self.installations.verify(self.install(main, **options))


def _locked(path: Path) -> LockedWheel:
    name, version = path.name.split("-")[:2]
    return LockedWheel(name, version, path.name, Digest.of(path.read_bytes()))
