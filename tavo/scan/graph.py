"""What is asked of a graph of calls: what can be reached, and what can reach each other.

Rules this module keeps:
- edges are told as a mapping from a node to those that it leads to; it knows nothing of what the
  nodes are;
- answers come in an order that depends on the edges' order alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

__all__ = ["closure", "groups"]

_Node = TypeVar("_Node", bound=Hashable)


def closure(begin: Iterable[_Node], edges: Mapping[_Node, Iterable[_Node]]) -> set[_Node]:
    """Return what can be reached over edges, the beginning included."""
    seen = set(begin)
    waiting = list(seen)
    while waiting:
        for after in edges.get(waiting.pop(), ()):
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    return seen


def groups(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the nodes of a graph in groups that can reach each other, reached ones first."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    out: list[list[str]] = []
    for root in edges:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        path = [(root, iter(edges[root]))]
        while path:
            node, rest = path[-1]
            for after in rest:
                if after not in index:
                    index[after] = low[after] = len(index)
                    stack.append(after)
                    on_stack.add(after)
                    path.append((after, iter(edges.get(after, ()))))
                    break
                if after in on_stack:
                    low[node] = min(low[node], index[after])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == index[node]:
                    group = []
                    while True:
                        last = stack.pop()
                        on_stack.discard(last)
                        group.append(last)
                        if last == node:
                            break
                    out.append(sorted(group))
    return out
