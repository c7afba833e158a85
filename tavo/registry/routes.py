"""Which marketplace a namespace comes from, decided on values.

Rules this module keeps:
- a namespace that is bound comes from that marketplace or from none, whatever others offer under
  its name and in which version: also where that marketplace cannot be reached;
- one that is bound nowhere comes from the one marketplace that lists it; if several do, nobody has
  said whose it is, and nothing of it is installed: the order of marketplaces decides nothing
  about trust;
- a marketplace with bound namespaces offers these and no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tavo.errors import RefusedError

__all__ = ["DEFAULT", "Place", "Routes"]

DEFAULT = "default"
"""The name of the marketplace that is in the file of tavo, or is set by registry.root."""


class Place(NamedTuple):
    """A marketplace: its name, its repository, and which namespaces are bound to it and listed
    in the newest document of publishers that was accepted of it."""

    name: str
    repository: str
    bound: frozenset[str]
    listed: frozenset[str]

    def offers(self, namespace: str) -> bool:
        """Tell whether it offers a namespace that is bound nowhere else."""
        return namespace in self.listed and not self.bound


class Routes(NamedTuple):
    """All marketplaces of this machine, in the user's order."""

    places: Sequence[Place]

    def of(self, namespace: str) -> Place | None:
        """Return where a namespace comes from, None where nobody has it.

        Raises RefusedError where several have it and none is bound.
        """
        for place in self.places:
            if namespace in place.bound:
                return place
        found = [place for place in self.places if place.offers(namespace)]
        if len(found) > 1:
            names = " and ".join(place.name for place in found)
            hint = (
                "Bind it: add the one that it comes from again, with"
                f" `tavo trust add … --namespace {namespace}`."
            )
            if any(place.name == DEFAULT for place in found):  # which cannot be added again
                added = " and ".join(place.name for place in found if place.name != DEFAULT)
                hint += (
                    f" Or, to take it from default: add {added} again with --namespace for each"
                    " namespace that comes from there, without this one."
                )
            raise RefusedError(
                f"the namespace {namespace} is in {names}, and it is not said from which it comes,"
                " so nothing of it is installed",
                hint=hint,
            )
        return found[0] if found else None

    def problem(self, full_id: str, repository: str) -> str:
        """Say why a plugin does not come from this repository, nothing where it does."""
        namespace = full_id.partition("/")[0]
        try:
            place = self.of(namespace)
        except RefusedError as error:
            return str(error)
        if place is None or place.repository == repository:
            return ""
        return f"the namespace {namespace} comes from {place.name} here, and from nowhere else"
