"""The corpus of hostile metadata: each file is refused in the words that stand beside it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from signing.attest import PublisherClaim, sign_publisher, verify_publisher
from signing.digests import Digest
from signing.errors import SigningError, VerificationError
from signing.keys import PrivateKey
from signing.publishers import Publishers
from tests.fakes.repository import Machine, RepositorySimulator, key_map, simple_publishers

CORPUS = sorted((Path(__file__).parents[1] / "attacks" / "metadata").glob("*.json"))
KEY = PrivateKey.generate()
CLAIM = PublisherClaim(
    full_id="tavo/x",
    version="1.0.0",
    api=1,
    package=Digest.of(b"p"),
    manifest=Digest.of(b"m"),
    lock=None,
    permissions=Digest.of(b"r"),
    issued=datetime(2026, 11, 22, tzinfo=UTC),
)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> RepositorySimulator:
    return RepositorySimulator(tmp_path_factory.mktemp("corpus") / "repository")


def offer(kind: str, data: bytes, simulator: RepositorySimulator, cache: Path) -> None:
    if kind == "publishers":
        Publishers.parse(data)
    elif kind == "envelope":
        verify_publisher(data, key_map(KEY), CLAIM)
    else:
        path = simulator.metadata_path("timestamp")
        honest = path.read_bytes()
        path.write_bytes(data)
        try:
            Machine(cache, simulator.root).refresh(simulator.source)
        finally:
            path.write_bytes(honest)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_hostile_metadata_is_refused_by_name(
    path: Path, simulator: RepositorySimulator, tmp_path: Path
) -> None:
    expected = path.with_suffix(".expected").read_text().strip()
    with pytest.raises(VerificationError) as caught:
        offer(path.name.partition("-")[0], path.read_bytes(), simulator, tmp_path)
    assert expected in str(caught.value)
    assert str(caught.value).isprintable()
    assert isinstance(caught.value, SigningError)


def test_honest_inputs_pass_the_same_way(simulator: RepositorySimulator, tmp_path: Path) -> None:
    """The control: what the corpus imitates is accepted."""
    offer("publishers", simple_publishers().to_bytes(), simulator, tmp_path)
    offer("envelope", sign_publisher(CLAIM, KEY), simulator, tmp_path)
    offer("timestamp", simulator.metadata_path("timestamp").read_bytes(), simulator, tmp_path)
    assert len(CORPUS) > 40
