"""What is not shown in a session: the user's choice, and what client and projects add to it.

What each of them may say is decided in `tavo.lsp.options`. This module reads `tavo.toml` of the
folders that are open, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tavo.config import load_project
from tavo.errors import ConfigError
from tavo.lsp.documents import Subject
from tavo.lsp.options import Noise, UserOptions, noise_of_client, noise_of_project
from tavo.lsp.places import Folder

__all__ = ["Hiding"]


class Hiding:
    """What user, client and projects hide. One that says it wrong hides nothing."""

    def __init__(self, options: UserOptions) -> None:
        self._user = Noise(exclude=options.exclude, min_severity=options.min_severity)
        self._client = Noise()
        self._projects: dict[Folder, Noise] = {}

    def take_client(self, settings: Any) -> list[str]:
        """Take the settings of the client; return sentences about what does not count."""
        self._client, notes = noise_of_client(settings)
        return notes

    def read_projects(self, folders: Iterable[Folder]) -> list[str]:
        """Read what the projects hide; return sentences about what does not count."""
        self._projects.clear()
        said: list[str] = []
        for folder in folders:
            try:
                noise, notes = noise_of_project(load_project(folder.path))
            except ConfigError as error:
                noise = Noise()
                notes = [f"{error}; nothing in this file counts until that is mended"]
            self._projects[folder] = noise
            said += notes
        return said

    def of(self, folder: Folder | None) -> Noise:
        """Return what is not shown of a folder, None for what lies in none."""
        noise = self._user.with_more(self._client)
        project = self._projects.get(folder) if folder is not None else None
        return noise if project is None else noise.with_more(project)

    def hides(self, subject: Subject) -> bool:
        """Tell whether nothing of a document or notebook is shown."""
        if subject.name.folder is None:
            return False
        return self.of(subject.name.folder).hides(str(subject.name.relative))
