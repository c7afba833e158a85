"""Images, sounds, files and bare tokens in requests: nobody here can read them.

Settings: `allow`, a list of `image`, `audio`, `file`, `tokens` and so on (image), and `urls`
(false: a provider is not sent to fetch something; true: it may).
"""

from __future__ import annotations

from typing import ClassVar

from tavo.proxy.chain.filter import Filter, Settings
from tavo.proxy.chain.values import Action, Asked, Judged, kind_of

__all__ = ["MediaFilter"]


class MediaFilter(Filter):
    """Refuses media that the policy does not allow."""

    kind: ClassVar[str] = "media"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._allow = frozenset(settings.texts("allow", ("image",)))
        self._urls = settings.flag("urls", False)
        settings.done()

    def judge_request(self, asked: Asked) -> Judged | None:
        for media in asked.media:
            if media.type not in self._allow:
                reason = f"{media.type[:40]} is not allowed in a request ({self.name})"
                return Judged(Action.BLOCK, kind_of(media.type), reason)
            if media.url and not self._urls:
                reason = f"a request may not name an address to fetch from ({self.name})"
                return Judged(Action.BLOCK, "url", reason)
        return None
