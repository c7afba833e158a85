"""The private keys that one machine holds, by role.

Rules this module keeps:
- a keyring may hold some roles only: the online machine never has the offline keys;
- files are named `<role>-<number>.key`, each with mode 0600;
- development keys lie unencrypted in a folder with a `DEVELOPMENT` marker, and everything made
  with them says so; such a folder ignores itself for Git.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from signing.errors import KeyFileError
from signing.files import write_atomically
from signing.keys import PrivateKey
from signing.roles import OFFLINE_ROLES, ROLES

__all__ = ["Keyring"]

_MARKER = "DEVELOPMENT"
_MARKER_TEXT = b"These keys are for development only: never sign a release for others with them.\n"


class Keyring:
    """Private keys by role. `development` is true for keys that a build made for itself."""

    def __init__(
        self,
        keys: Mapping[str, Sequence[PrivateKey]],
        *,
        development: bool = False,
        directory: Path | None = None,
    ) -> None:
        unknown = sorted(set(keys) - set(ROLES))
        if unknown:
            raise ValueError(f"no such role: {', '.join(unknown)}")
        self._keys = {role: tuple(keys.get(role, ())) for role in ROLES}
        self.development = development
        self._directory = directory

    def __repr__(self) -> str:
        held = ", ".join(f"{role}: {len(keys)}" for role, keys in self._keys.items() if keys)
        return f"Keyring({held}{', development' if self.development else ''})"

    def of(self, role: str) -> tuple[PrivateKey, ...]:
        """Return the keys held for the role, possibly none."""
        return self._keys[role]

    def with_role(self, role: str, keys: Iterable[PrivateKey]) -> Keyring:
        """Return a keyring in which the role has these keys instead."""
        changed = {**self._keys, role: tuple(keys)}
        return Keyring(changed, development=self.development, directory=self._directory)

    def without(self, *roles: str) -> Keyring:
        """Return a keyring that does not hold the keys of these roles."""
        kept = {role: keys for role, keys in self._keys.items() if role not in roles}
        return Keyring(kept, development=self.development, directory=self._directory)

    @classmethod
    def generate(cls, *, development: bool = False) -> Self:
        """Make new keys for all roles in memory: three for each offline role, one for online."""
        keys = {role: [PrivateKey.generate() for _ in range(_count(role))] for role in ROLES}
        return cls(keys, development=development)

    @classmethod
    def generate_development(cls, directory: Path) -> Self:
        """Load the development keys of a folder, or make them once.

        Raises KeyFileError if the folder holds keys that are not marked as development keys.
        """
        marker = directory / _MARKER
        if not marker.exists():
            if directory.is_dir() and any(directory.glob("*.key")):
                raise KeyFileError(
                    f"{directory}: keys are here, but no {_MARKER} marker",
                    hint="Choose an empty folder for development keys.",
                )
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(directory / ".gitignore", b"*\n")
            write_atomically(marker, _MARKER_TEXT)
        keys = {
            role: [
                _load_or_generate(directory / f"{role}-{number}.key")
                for number in range(1, _count(role) + 1)
            ]
            for role in ROLES
        }
        return cls(keys, development=True, directory=directory)

    @classmethod
    def load(
        cls,
        directory: Path,
        *,
        roles: Iterable[str] = ROLES,
        load: Callable[[Path], PrivateKey] = lambda path: PrivateKey.load(path, None),
    ) -> Self:
        """Load the `<role>-<number>.key` files of these roles; `load` reads one of them.

        Raises KeyFileError if there is none, or one cannot be loaded.
        """
        keys = {
            role: [load(path) for path in sorted(directory.glob(f"{role}-*.key"))] for role in roles
        }
        if not any(keys.values()):
            raise KeyFileError(
                f"{directory}: no key files named <role>-<number>.key",
                hint="Check the folder of the repository's keys.",
            )
        return cls(keys, development=(directory / _MARKER).exists(), directory=directory)

    @classmethod
    def make(cls, directory: Path, passphrase: bytes | None) -> Self:
        """Make new keys of all roles in a folder that holds none; None: not encrypted.

        Raises KeyFileError.
        """
        if directory.is_dir() and any(directory.glob("*.key")):
            raise KeyFileError(
                f"{directory}: keys are here already", hint="Choose an empty folder."
            )
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise KeyFileError(f"{directory}: cannot write: {error.strerror}") from error
        made = cls.generate()
        for role in ROLES:
            for number, key in enumerate(made.of(role), start=1):
                key.save(directory / f"{role}-{number}.key", passphrase)
        return made

    def named(self, name: str) -> PrivateKey:
        """Return a further development key, such as `publisher-tavo`, making it once.

        Raises KeyFileError if this is not the keyring of a development folder.
        """
        if not self.development or self._directory is None:
            raise KeyFileError("only a development keyring makes keys by name")
        return _load_or_generate(self._directory / f"{name}.key")


def _count(role: str) -> int:
    return 3 if role in OFFLINE_ROLES else 1


def _load_or_generate(path: Path) -> PrivateKey:
    if path.exists():
        return PrivateKey.load(path, None)
    key = PrivateKey.generate()
    key.save(path, None)
    return key
