"""MCP servers in the configuration of clients: how they are started or reached, and what they are.

Rules this module keeps:
- a configuration is read, never resolved: no variable is filled in, nothing looked up;
- a server's identity is what is started: a package, an image, a host or a program.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from documents import Node

__all__ = ["Package", "Server", "find_servers"]

_TABLES = {"mcpServers", "mcp_servers", "context_servers", "amp.mcpServers", "mcp-servers"}
_RUNNERS = {"npx": "npm", "bunx": "npm", "pnpx": "npm", "uvx": "pypi", "pipx": "pypi", "uv": "pypi",
            "pnpm": "npm", "yarn": "npm", "bun": "npm", "npm": "npm"}  # fmt: skip
_SUBCOMMANDS = {"dlx", "x", "exec", "run", "tool"}
_CONTAINERS = {"docker", "podman", "nerdctl"}
_TAKES_VALUE = {
    "-e",
    "--env",
    "-v",
    "--volume",
    "--mount",
    "--name",
    "--network",
    "--net",
    "-p",
    "--publish",
    "--env-file",
    "-u",
    "--user",
    "-w",
    "--workdir",
    "--entrypoint",
    "--label",
    "-l",
    "--platform",
    "--add-host",
    "--cap-add",
    "--cap-drop",
    "--security-opt",
    "--memory",
    "-m",
    "--cpus",
    "--pull",
    "--gpus",
    "--pid",
    "--ipc",
    "--hostname",
    "-h",
    "--tmpfs",
    "--restart",
}
_SHELLS = {"sh", "bash", "zsh", "dash", "cmd", "powershell", "pwsh"}


@dataclass(frozen=True, slots=True)
class Package:
    """What a runner fetches: `kind` is npm, pypi, image or url; `version` as it is written."""

    kind: str
    name: str
    version: str
    node: Node

    @property
    def pinned(self) -> bool:
        """Tell whether it is the same thing each time."""
        if self.kind == "image":
            return self.version.startswith("sha256:") or self.version not in {"", "latest"}
        return bool(re.match(r"v?\d+(?:\.\d+)+", self.version)) or bool(
            re.fullmatch(r"[0-9a-f]{40}", self.version)
        )


@dataclass(frozen=True, slots=True)
class Server:
    """One server of a configuration."""

    name: str
    node: Node
    words: tuple[tuple[str, Node], ...] = ()
    shell: tuple[str, Node] | None = None
    url: Node | None = None
    env: dict[str, Node] = field(default_factory=dict)
    headers: dict[str, Node] = field(default_factory=dict)
    package: Package | None = None

    @property
    def identity(self) -> str:
        """What is started or reached, without its version."""
        if self.package is not None:
            return f"{self.package.kind}:{self.package.name.lower()}"
        host = _host(self.url.text) if self.url else ""
        return f"host:{host}" if host else ""


def find_servers(path: PurePosixPath, root: Node) -> Iterator[Server]:
    """Yield the servers of a document that is a client's configuration."""
    if path.suffix in {".yaml", ".yml"} and root.get("services"):
        yield from _composed(root)
        return
    for key, node in root.walk():
        tables = [one for name, one in node.fields.items() if name in _TABLES]
        if key in {"mcp", ""} and (named := node.get("servers", "mcp")) and _is_table(named):
            tables.append(named)
        for table in tables:
            for name, one in table.fields.items():
                if one.fields:
                    yield _server(name, one)
            for one in table.items:  # Continue writes a list
                name = one.get("name")
                if one.fields:
                    yield _server(name.text if name else "?", one)


def _is_table(node: Node) -> bool:
    return any(one.get("command", "url", "serverUrl", "httpUrl") for one in node.fields.values())


def _server(name: str, node: Node) -> Server:
    command, args = node.get("command"), node.get("args")
    env = node.get("env", "environment")
    if command is not None and command.fields:  # Zed
        args, env = command.get("args"), command.get("env") or env
        command = command.get("path")
    words: list[tuple[str, Node]] = []
    if command is not None:
        written = [command] if command.text else command.items
        for one in written:
            parts = _split(one.text) if one is command and not (args and args.items) else [one.text]
            words += [(part, one) for part in parts]
    words += [(one.text, one) for one in (args.items if args else []) if one.text]
    headers = node.get("headers", "http_headers", "requestInit")
    url = node.get("url", "serverUrl", "httpUrl", "endpoint")
    if url is None or not url.text:
        url = next((one for word, one in words if re.match(r"https?://", word)), None)
    shell = _shell(words)
    last = re.split(r"&&|\|\||[;|]|\bexec\b", shell[0])[-1] if shell else ""
    inner = [(part, shell[1]) for part in _split(last)] if shell else words
    return Server(
        name=name,
        node=node,
        words=tuple(words),
        shell=shell,
        url=url,
        env=env.fields if env else {},
        headers=headers.fields if headers else {},
        package=_package(inner),
    )  # fmt: skip


def _composed(root: Node) -> Iterator[Server]:
    """Yield the services of a compose file that are MCP servers by name or image."""
    services = root.get("services")
    for name, node in (services.fields if services else {}).items():
        image = node.get("image")
        if not re.search(r"\bmcp\b|mcp[-_/]|[-_/]mcp", f"{name} {image.text if image else ''}"):
            continue
        environment = node.get("environment")
        env = dict(environment.fields) if environment else {}
        for one in environment.items if environment else []:
            key, _, value = one.text.partition("=")
            env[key] = Node(value, one.start, one.end)
        volumes = node.get("volumes")
        words = [("-v", one) for one in (volumes.items if volumes else []) if one.text]
        words = [pair for one in words for pair in (one, (one[1].text, one[1]))]
        privileged = node.get("privileged")
        if privileged is not None and privileged.value is True:
            words.append(("--privileged", privileged))
        package = _image(image.text, image) if image and image.text else None
        yield Server(name=name, node=node, words=tuple(words), env=env, package=package)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _base(word: str) -> str:
    return re.sub(r"\.(?:exe|cmd|bat)$", "", re.split(r"[/\\]", word)[-1].lower())


def _shell(words: list[tuple[str, Node]]) -> tuple[str, Node] | None:
    """Return the command line that a shell gets, and where it is written."""
    if not words or _base(words[0][0]) not in _SHELLS:
        return None
    for index, (word, _) in enumerate(words[1:], start=1):
        if re.fullmatch(r"-\w*c|/[ck]|-command", word.lower()) and index + 1 < len(words):
            rest = words[index + 1 :]
            return " ".join(part for part, _ in rest), rest[0][1]
    return None


def _package(words: list[tuple[str, Node]]) -> Package | None:
    if not words:
        return None
    program = _base(words[0][0])
    rest = words[1:]
    if program in _CONTAINERS:
        return _of_container(rest)
    kind = _RUNNERS.get(program)
    if kind is None:
        return None
    if program in {"pnpm", "yarn", "bun", "npm", "pipx", "uv"}:
        named = [word for word, _ in rest[:2] if not word.startswith("-")]
        if not named or named[0] not in _SUBCOMMANDS or (program == "uv" and named[0] != "tool"):
            return None
        if program in {"npm", "bun", "pnpm", "yarn"} and named[0] == "run":
            return None
    skip = False
    found: tuple[str, Node] | None = None
    for index, (word, node) in enumerate(rest):
        if skip:
            skip = False
        elif word in {"--from", "--package", "-p", "--spec"} and index + 1 < len(rest):
            if kind == "npm" and word == "-p" and program != "npx":
                continue
            found = rest[index + 1]
            break
        elif match := re.match(r"--(?:from|package|spec)=(.+)", word):
            found = (match[1], node)
            break
        elif word in {"--python", "--with", "--index-url", "--index", "--registry", "-c", "--call"}:
            skip = True
        elif not word.startswith("-") and word not in _SUBCOMMANDS:
            found = (word, node)
            break
    return _of_registry(kind, *found) if found else None


def _of_registry(kind: str, word: str, node: Node) -> Package | None:
    if re.match(r"(?:git\+|https?://|github:|git@)", word):
        version = re.search(r"@([0-9a-f]{40})\b|#([0-9a-f]{40})\b", word)
        return Package("url", word, (version[1] or version[2]) if version else "", node)
    if word.startswith((".", "/", "~", "$", "{")) or re.search(r"\.(?:js|mjs|ts|py)$", word):
        return None
    match = re.fullmatch(r"(@?[^@=<>~!\[\s]+)(?:\[[^\]]*\])?(?:@|==|[<>~!]=?)?(.*)", word)
    if match is None:
        return None
    return Package(kind, match[1], match[2] if "==" in word or "@" in word[1:] else "", node)


def _of_container(words: list[tuple[str, Node]]) -> Package | None:
    if not any(word == "run" for word, _ in words[:2]):
        return None
    skip = False
    for word, node in words:
        if skip:
            skip = False
        elif word in _TAKES_VALUE:
            skip = True
        elif not word.startswith("-") and word not in {"run", "container"}:
            return _image(word, node)
    return None


def _image(word: str, node: Node) -> Package | None:
    name, _, digest = word.partition("@")
    tail = name.rsplit("/", 1)[-1]
    tag = tail.partition(":")[2]
    bare = name[: len(name) - len(tag) - 1] if tag else name
    return None if "$" in word or "{" in word else Package("image", bare, digest or tag, node)


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
