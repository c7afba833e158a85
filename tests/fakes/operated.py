"""An operated marketplace in a folder, with all keys at hand, authors and reviewers."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from signing.founding import first_ceremony
from signing.keyring import Keyring
from signing.roles import OFFLINE_ROLES, ROLES
from tavo.operator.marketplace import OperatedMarket, Released
from tavo.registry.trust import OpenCatalog, Trust
from tests.fakes.marketplace import MemoryStore
from tests.fakes.operator_market import Marketplace
from tests.fakes.repository import NOW

DAY = timedelta(days=1)


class Operated:
    """`acme` and the official `tavo` may publish; three reviewers; nothing is released yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.people = Marketplace(folder / "people")
        self.directory = folder / "market"
        self.keys = Keyring.generate()
        self.now = NOW
        public = {role: [key.public for key in self.keys.of(role)] for role in ROLES}
        first = first_ceremony(public, NOW, publishers=self.people.publishers)
        first.sign_all(key for role in OFFLINE_ROLES for key in self.keys.of(role))
        with OperatedMarket.found(self.directory, first, self.keys, NOW) as place:
            place.register(NOW)
            self.root = place.repository.root_bytes
        # What vetting asks for is tested where vetting is.
        (self.directory / "market.toml").write_text("[vetting]\nrequired = []\n")

    @property
    def tree(self) -> Path:
        return self.directory / "repository"

    def open(self) -> OperatedMarket:
        return OperatedMarket.open(self.directory, self.keys)

    def hand_in(self, **package: object) -> str:
        """Take in a package; return the submission's id."""
        built = self.people.package(**package)
        with self.open() as place:
            return place.intake.submit(
                built, self.people.sign(built), publishers=place.publishers(), now=self.now
            )

    def approve(self, submission: str, reviewers: int = 2) -> None:
        """Have reviewers approve a submission, and make it a release."""
        with self.open() as place:
            chosen = place.intake.submission(submission)
            for key in self.people.reviewers[:reviewers]:
                place.review(chosen, place.statement(chosen, key, "approve", self.now), self.now)
            place.approve(chosen, self.now)

    def release(self) -> Released:
        """Release, a day later."""
        self.now += DAY
        with self.open() as place:
            return place.release(self.now)

    def add(self, **package: object) -> Released:
        """Take a package all the way."""
        self.approve(self.hand_in(**package))
        return self.release()


class Client:
    """A machine that trusts the market's root."""

    def __init__(self, operated: Operated, name: str = "client") -> None:
        self.operated = operated
        self.cache = operated.folder / f"cache-{name}"
        self.store = MemoryStore()

    def trust(self, now: datetime | None = None) -> Trust:
        return Trust(
            self.store, self.cache, embedded=None, root=self.operated.root,
            now=now or self.operated.now,
        )  # fmt: skip

    def update(self, source: object = None) -> OpenCatalog:
        from signing.client import DirectorySource

        return self.trust().update(source or DirectorySource(self.operated.tree))  # type: ignore[arg-type]
