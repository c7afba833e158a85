"""What is wrong with how one server is started or reached: claims about values, no I/O."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

from documents import Node
from lookalikes import lookalike_of
from servers import Server

__all__ = ["Claim", "claims_about"]

Claim = tuple[str, Node, str, dict[str, str]]
"""A rule, where it is, a sentence, evidence."""

_FETCHES = re.compile(
    r"(?i)\b(?:curl|wget|iwr|irm|invoke-webrequest|invoke-restmethod)\b[^|;&]{0,300}(?:\||;"
    r"|&&)\s*(?:sudo\s+)?"
    r"(?:(?:ba|z|da)?sh|python3?|node|iex)\b|(?:<\(|\$\(|`)\s*(?:curl|wget)\b"
    r"|\bbase64\s+(?:-d|--decode)\b[^|]{0,100}\|\s*(?:ba|z)?sh"
)
_STEPS = re.compile(r"&&|\|\||[;|`]|\$\(")
_SECRET_NAME = re.compile(
    r"(?i)(?:token|secret|passw(?:or)?d|api_?-?key|access_?-?key|private_?-?key|_pat\b"
    r"|authorization|credential)"
)
_KNOWN_SECRET = re.compile(
    r"\b(?:sk-(?:ant-|proj-)?[\w-]{20,}|gh[pousr]_\w{30,}|github_pat_\w{40,}"
    r"|xox[abpr]-[\w-]{20,}|AKIA[0-9A-Z]{16}"
    r"|AIza[\w-]{35}|glpat-[\w-]{20,}|npm_\w{36}|hf_\w{30,}"
    r"|eyJ[\w-]{20,}\.eyJ[\w-]{20,}\.[\w-]{10,})"
)
_PLACEHOLDER = re.compile(
    r"(?i)\$\{?|\{\{|<|>|%\w+%|your|xxx|example|change.?me|placeholder|\.\.\.|…|\*\*\*|replace"
    r"|insert|dummy|sample|fake"
    r"|\btodo\b|_here|-here|env:|input:|^test|demo|1234567|abcdef|op://|vault:|keychain"
    r"|\bpass(?:word|wd)?\b|\bsecret\b|null|undefined|none\b"
)
_LOCAL = re.compile(
    r"(?:localhost|127\.[\d.]+|0\.0\.0\.0|::1|host\.docker\.internal|host\.containers\.internal"
    r"|[\w.-]+\.(?:local|localhost|internal|svc|test|example)|[\w-]+|10\.[\d.]+|192\.168\.[\d.]+"
    r"|172\.(?:1[6-9]|2\d|3[01])\.[\d.]+)\Z"
)
_WIDE = re.compile(
    r"(?:type=bind,)?(?:source=|src=)?(?:/|~/?|\$\{?(?:env:)?(?:HOME|userHome)\}?/?|/(?:Users"
    r"|home)(?:/[\w.-]+)?/?|/root/?|/etc/?)(?::/|,|:[\w/])"
)
_SOCKET = re.compile(
    r"(?:/var)?/run/(?:docker|podman/podman|containerd/containerd)\.sock|docker_engine"
)
_POWERS = re.compile(
    r"--privileged(?:=true)?$|--(?:pid|net|network|ipc|userns)=host$|--cap-add=(?:ALL|SYS_ADMIN"
    r"|SYS_PTRACE)$"
    r"|--security-opt=?(?:seccomp|apparmor)[=:]unconfined$"
)
_PAIRS = {
    ("--pid", "host"),
    ("--cap-add", "ALL"),
    ("--cap-add", "SYS_ADMIN"),
    ("--security-opt", "seccomp=unconfined"),
    ("--security-opt", "seccomp:unconfined"),
    ("--security-opt", "apparmor=unconfined"),
}
_ALL_TOOLS = ("autoApprove", "alwaysAllow", "autoAllow", "always_allow", "auto_approve", "trust")


def claims_about(server: Server) -> Iterator[Claim]:
    """Yield what is wrong with one server."""
    yield from _about_command(server)
    yield from _about_package(server)
    yield from _about_secrets(server)
    yield from _about_address(server)
    yield from _about_container(server)
    for name in _ALL_TOOLS:
        node = server.node.get(name)
        if node is None:
            continue
        star = next((one for one in (node, *node.items) if one.text == "*"), None)
        if node.value is True or star is not None:
            yield (
                "server-approves-all", star or node,
                f"All tools of the server '{server.name}' run without asking ({name}).",
                {"server": server.name},
            )  # fmt: skip


def _about_command(server: Server) -> Iterator[Claim]:
    line = " ".join(word for word, _ in server.words)
    if not server.words:
        return
    where = server.shell[1] if server.shell else server.words[0][1]
    remote = (
        server.package is not None and server.package.kind == "url" and not server.package.version
    )
    if _FETCHES.search(line) or remote:
        if remote and server.package is not None:
            where = server.package.node
        yield (
            "server-fetches-code", where,
            f"The server '{server.name}' is code that is fetched and run at each start.",
            {"server": server.name, "command": line[:200]},
        )  # fmt: skip
    elif server.shell is not None and _STEPS.search(server.shell[0]):
        yield (
            "server-behind-shell", where,
            f"The server '{server.name}' is started by a line of shell with several steps.",
            {"server": server.name, "command": line[:200]},
        )  # fmt: skip


def _about_package(server: Server) -> Iterator[Claim]:
    package = server.package
    if package is None:
        return
    known = lookalike_of(package.kind, package.name)
    if known or not package.name.isascii():
        said = f"nearly '{known}'" if known else "written in letters that look like others"
        yield (
            "server-lookalike", package.node,
            f"The server '{server.name}' starts '{package.name}', which is {said}.",
            {"server": server.name, "package": package.name, "nearly": known},
        )  # fmt: skip
    if package.kind != "url" and not package.pinned:
        yield (
            "server-unpinned", package.node,
            f"The server '{server.name}' starts the newest '{package.name}', whatever that is.",
            {"server": server.name, "package": package.name},
        )  # fmt: skip


def _about_secrets(server: Server) -> Iterator[Claim]:
    pairs = [*server.env.items(), *server.headers.items()]
    pairs += [pair for key, node in server.headers.items() for pair in node.fields.items()]
    words = server.words
    for index, (word, node) in enumerate(words):
        name, parted, value = word.partition("=")
        if (parted and name.startswith("-")) or (
            parted and index and words[index - 1][0] in {"-e", "--env"}
        ):
            pairs.append((name, Node(value, node.start, node.end)))
        elif index and words[index - 1][0].startswith("--") and "=" not in words[index - 1][0]:
            pairs.append((words[index - 1][0], node))
        elif "://" in word:
            pairs.append(("password", node))
        elif match := re.match(r"(?i)([\w-]+):\s*(\S.*)", word):
            pairs.append((match[1], Node(match[2], node.start, node.end)))
        elif _KNOWN_SECRET.search(word):
            pairs.append(("token", node))
    for url in [server.url] if server.url else []:
        try:
            parts = urlsplit(url.text)
            pairs += [
                (key, Node(value, url.start, url.end)) for key, value in parse_qsl(parts.query)
            ]
            if parts.password:
                pairs.append(("password", Node(parts.password, url.start, url.end)))
        except ValueError:
            continue
    seen: set[tuple[int, int]] = set()
    for name, node in pairs:
        value = re.sub(r"(?i)^(?:bearer|basic|token)\s+", "", node.text)
        if (node.start, node.end) in seen or not value:
            continue
        password = re.match(r"(?i)\w+(?:\+\w+)?://[^:@/\s]+:([^@\s/]{8,})@", value)
        if password and not _PLACEHOLDER.search(password[1]):
            value, certain = password[1], True
        else:
            certain = bool(_KNOWN_SECRET.search(value))
        if (
            certain or (_SECRET_NAME.search(name) and _is_random(value))
        ) and not _PLACEHOLDER.search(value):
            seen.add((node.start, node.end))
            yield (
                "server-secret", node,
                f"A secret of the server '{server.name}' is written here ({name.lstrip('-')}).",
                {"server": server.name, "name": name, "value": f"{value[:3]}…"},
            )  # fmt: skip


def _is_random(value: str) -> bool:
    if (
        len(value) < 12
        or " " in value
        or re.match(r"(?:https?:/)?/|[a-z]+(?:[-_][a-z]+)+$|[\w./~-]+\.\w{2,5}$", value)
    ):
        return False
    counts = Counter(value)
    entropy = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return entropy >= 3.0 and any(c.isdigit() for c in value)


def _about_address(server: Server) -> Iterator[Claim]:
    urls = [server.url] if server.url else []
    for url in urls:
        try:
            parts = urlsplit(url.text)
            host = parts.hostname or ""
        except ValueError:
            continue
        if (
            parts.scheme == "http"
            and host
            and not _PLACEHOLDER.search(host)
            and not _LOCAL.match(host)
        ):
            yield (
                "server-plain-http", url,
                f"The server '{server.name}' on {host} is reached over plain HTTP.",
                {"server": server.name, "host": host},
            )  # fmt: skip
        if _PLACEHOLDER.search(url.text):
            continue
        if not host.isascii() or any(part.startswith("xn--") for part in host.split(".")):
            yield (
                "server-lookalike", url,
                f"The host of the server '{server.name}' is written in letters that look like"
                f" others: {host}.",
                {"server": server.name, "host": host},
            )  # fmt: skip


def _about_container(server: Server) -> Iterator[Claim]:
    words = server.words
    if not words:
        return
    for index, (word, node) in enumerate(words):
        before = words[index - 1][0] if index else ""
        value = (
            word.partition("=")[2] if word.startswith(("--volume=", "--mount=", "-v=")) else word
        )
        mounted = value is not word or before in {"-v", "--volume", "--mount"}
        if _POWERS.match(word) or (before, word) in _PAIRS:
            what = "has the host's privileges"
        elif mounted and _SOCKET.search(value):
            what = "gets the socket of the container engine"
        elif mounted and _WIDE.match(value):
            what = "mounts the disk, a home or the system's settings"
        else:
            continue
        yield (
            "server-reaches-host", node,
            f"The container of the server '{server.name}' {what}.",
            {"server": server.name, "option": word[:200]},
        )  # fmt: skip
