"""Orders that are not the operator's: in the text of a user, and inside of what a tool returned.

Settings: `user` and `tool` (what happens there: `block`, `note`, `off`), `threshold` (0.7), `model`
(true: the small models that come with tavo are asked, too).
"""

from __future__ import annotations

from typing import ClassVar

from tavo.detect.injection import from_document, from_user
from tavo.detect.learned import Model, model_of
from tavo.llm.parts import Kind
from tavo.proxy.chain.filter import Filter, Settings
from tavo.proxy.chain.values import Action, Judged, Where

__all__ = ["InjectionFilter"]

_ACTIONS = {"block": Action.BLOCK, "note": Action.NOTE}
_KINDS = frozenset({Kind.TEXT, Kind.OTHER, Kind.DESCRIPTION})


class InjectionFilter(Filter):
    """Judges texts of users and of tools by what they say."""

    kind: ClassVar[str] = "injection"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        choices = ("block", "note", "off")
        self._user = settings.one_of("user", choices, "block")
        self._tool = settings.one_of("tool", choices, "block")
        self._threshold = settings.number("threshold", 0.7, low=0.05, high=1.0) or 0.7
        self._models: dict[str, Model] = {}
        if settings.flag("model", True):
            self._models = {kind: model_of(kind) for kind in ("user", "tool")}
        settings.done()

    def judges(self, where: Where) -> bool:
        if where.kind not in _KINDS:
            return False
        if where.role == "user":
            return self._user != "off" and where.kind is not Kind.DESCRIPTION
        return self._tool != "off" and self._is_document(where)

    def judge(self, text: str, where: Where) -> Judged | None:
        is_document = self._is_document(where)
        signals = from_document(text) if is_document else from_user(text)
        label = "+".join(signals.ids)
        if signals.score < self._threshold:
            # what a tool says about itself orders things of models by its nature: signals only
            kind = "" if where.kind is Kind.DESCRIPTION else "tool" if is_document else "user"
            model = self._models.get(kind)
            if model is None or not model.finds(text, signals):
                return None
            label = f"{kind} model"
        action = _ACTIONS[self._tool if is_document else self._user]
        where_from = "the result of a tool" if is_document else "the text of the user"
        reason = f"{where_from} gives the model other orders ({self.name}: {label})"
        return Judged(action, label, reason)

    @staticmethod
    def _is_document(where: Where) -> bool:
        return where.role == "tool" or where.kind is Kind.DESCRIPTION
