"""MCP configuration, tool descriptions and agent skill files: what they hide, and what they allow.

Rules this plugin keeps:
- files are read, never obeyed: nothing is started, resolved or fetched;
- where tavo's own rules look at a file for the same thing, they report it, unless the configuration
  says `everything: true`;
- a configuration that cannot be read in its own format is looked through as text only.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from documents import Lines, Node, read_document
from hidden import find_hidden, find_unrendered
from instructing import instruction_in
from rules import ALL, RULES
from servers import Server, find_servers
from starting import claims_about
from tools import Tool, find_tools

from tavo.plugins import Context, Finding, Location, Region, Severity, StaticAnalysisPlugin

from tavo.plugins import ConfigError, PluginError  # isort: skip

_SKILLS = (
    "claude*.md",
    "agents*.md",
    "gemini.md",
    "skill.md",
    ".cursorrules",
    ".windsurfrules",
    ".clinerules",
    "*.mdc",
    "copilot-instructions.md",
    "*.instructions.md",
    "*.prompt.md",
    "*.chatmode.md",
    "*.agent.md",
    "*/.claude/*.md",
    "*/.cursor/rules/*",
    "*/.clinerules/*",
    "*/.windsurf/rules/*",
    "*/.roo/rules*/*",
    "*/.kiro/steering/*",
    "*/skills/*.md",
    "*/agents/*.md",
    "*/commands/*.md",
    "*/prompts/*",
    "*.prompt",
    "*.prompty",
    "llms*.txt",
    "*/.junie/*.md",
    "conventions.md",
    ".goosehints",
    "*/.trae/rules/*",
    "*/.amazonq/rules/*",
    "warp.md",
)
_CONFIGURATIONS = (
    "*mcp*.json",
    "*mcp*.jsonc",
    "*mcp*.toml",
    "*mcp*.y*ml",
    "claude_desktop_config*.json",
    ".claude.json",
    "settings*.json",
    "opencode.json*",
    "gemini-extension.json",
    "plugin.json",
    "*.code-workspace",
    "*/.codex/*.toml",
    "*/.zed/*.json",
    "*/.continue/*",
    "*/.windsurf/*.json",
    "*/.cursor/*.json",
    "*/.roo/*.json",
    "*/.kiro/*.json",
    "*/.amp/*.json",
    "marketplace.json",
    "devcontainer*.json",
    "docker-compose*.y*ml",
    "compose*.y*ml",
    "librechat*.y*ml",
)
_OURS_SERVERS = (
    "*mcp*.json",
    "*mcp*.y*ml",
    "claude_desktop_config*.json",
    ".claude.json",
    "settings*.json",
    "opencode.json*",
    "gemini-extension.json",
    "plugin.json",
    "librechat*.y*ml",
    "*/.continue/*",
)
_OURS_HIDDEN = (
    *_SKILLS[:26],
    "*mcp*.json",
    "plugin.json",
    "marketplace.json",
    "gemini-extension.json",
)
_TOOL_MARKS = ("inputSchema", "input_schema", '"parameters"', '"tools"', '"mcpServers"')
_LARGEST = 2 << 20
_MOST_TOOLS = 5000
_LEFT_TO_OURS = frozenset(
    {
        "server-fetches-code",
        "server-unpinned",
        "server-secret",
        "server-plain-http",
        "server-approves-all",
        "server-reaches-host",
    }
)


class McpConfig(StaticAnalysisPlugin):
    """Looks at what tells an agent which tools it has and what to do."""

    rules = ALL

    def start(self, context: Context) -> None:
        """Take the configuration: `everything` also reports what tavo's own rules report."""
        self._context = context
        everything = context.config.get("everything", False)
        if not isinstance(everything, bool):
            raise ConfigError("everything: expected true or false")
        self._everything = everything

    def analyze_file(self, file_path: PurePosixPath, content: str) -> Iterable[Finding]:
        """Yield what is wrong with one file."""
        skill, configuration = _is(file_path, _SKILLS), _is(file_path, _CONFIGURATIONS)
        listed = file_path.suffix.lower() in {".json", ".jsonc"} and any(
            one in content for one in _TOOL_MARKS
        )
        if not (skill or configuration or listed) or len(content) > _LARGEST:
            return
        document = _document(file_path, content) if configuration or listed else None
        tools = [] if document is None else list(find_tools(file_path, document))[:_MOST_TOOLS]
        make = _Maker(file_path, content)
        if skill or configuration or tools:
            yield from self._about_text(make, content, rendered=skill)
        if document is None:
            return
        for tool in tools:
            yield from _about_tool(make, tool)
        if configuration or listed:
            covered = _is(file_path, _OURS_SERVERS) and not self._everything
            for server in find_servers(file_path, document):
                for rule, node, message, evidence in claims_about(server):
                    seen_by_ours = server.shell is None or rule != "server-unpinned"
                    if not (covered and rule in _LEFT_TO_OURS and seen_by_ours):
                        yield make.finding(rule, node.start, node.end, message, evidence)

    def analyze_project(self, files: Sequence[PurePosixPath]) -> Iterable[Finding]:
        """Yield what only several files together show."""
        servers: dict[str, list[tuple[PurePosixPath, str, Server]]] = {}
        tools: list[tuple[PurePosixPath, str, Tool]] = []
        for path in sorted(files):
            is_json = path.suffix.lower() in {".json", ".jsonc"}
            if not (is_json or _is(path, _CONFIGURATIONS)):
                continue
            content = self._content(path)
            if content is None:
                continue
            listed = is_json and any(one in content for one in _TOOL_MARKS)
            if not (listed or _is(path, _CONFIGURATIONS)):
                continue
            document = _document(path, content)
            if document is None:
                continue
            tools += [(path, content, tool) for tool in find_tools(path, document)]
            if not _is_sample(path):
                for server in find_servers(path, document):
                    servers.setdefault(server.name.lower(), []).append((path, content, server))
        yield from _identities(servers)
        yield from _shadows(tools[:_MOST_TOOLS])

    def _content(self, path: PurePosixPath) -> str | None:
        try:
            data = self._context.read_project(path)
        except PluginError:
            return None  # not lent, or gone: analyze_file has seen what it holds
        return (
            data.decode("utf-8-sig", "replace").replace("\r\n", "\n")
            if len(data) <= _LARGEST
            else None
        )

    def _about_text(self, make: _Maker, content: str, *, rendered: bool) -> Iterator[Finding]:
        ours = _is(make.path, _OURS_HIDDEN) and not self._everything
        for one in find_hidden(content):
            if one.says:
                wrong = instruction_in(one.says)
                yield make.finding(
                    "hidden-text-says", one.start, one.end,
                    f"{one.form[:1].upper()}{one.form[1:]} spell a message that nobody sees:"
                    f" \"{one.says[:160]}\".",
                    {"says": one.says[:1000], "form": one.form},
                    severity=Severity.CRITICAL if wrong else None,
                )  # fmt: skip
            elif not ours:
                said = f"There are {one.form} here that nobody sees."
                yield make.finding("hidden-text", one.start, one.end, said, {"form": one.form})
        if not rendered:
            return
        reported = -1
        for one in find_unrendered(content):
            if one.form == "a comment" and ours:
                continue  # agent-instructions-in-hidden-comment
            wrong = instruction_in(one.says)
            if wrong is not None and one.start > reported:
                reported = one.end
                yield make.finding(
                    "instructions-not-rendered", one.start, one.end,
                    f"In {one.form}, which the page does not show, the text gives orders:"
                    f" {wrong[0]}.",
                    {"words": wrong[1], "form": one.form},
                )  # fmt: skip


class _Maker:
    """Makes the findings of one file."""

    def __init__(self, path: PurePosixPath, content: str) -> None:
        self.path = path
        self._lines = Lines(content)
        self._length = len(content)

    def location(self, start: int, end: int) -> Location:
        """Return a place in the file."""
        start = max(0, min(start, self._length))
        line, column = self._lines.at(start)
        last, end_column = self._lines.at(max(start, min(end, self._length)))
        return Location(
            path=self.path,
            region=Region(
                start_line=line, start_column=column, end_line=last, end_column=end_column
            ),
        )

    def finding(
        self, rule_id: str, start: int, end: int, message: str, evidence: dict[str, str],
        severity: Severity | None = None,
    ) -> Finding:  # fmt: skip
        """Return a finding at a place."""
        rule = RULES[rule_id]
        return Finding(
            rule_id=rule_id, message=message, location=self.location(start, end),
            severity=severity or rule.severity, confidence=rule.confidence,
            evidence={name: value for name, value in evidence.items() if value},
        )  # fmt: skip


def _is(path: PurePosixPath, patterns: Sequence[str]) -> bool:
    name, whole = path.name.lower(), f"/{path}".lower()
    return any(fnmatch.fnmatchcase(whole if "/" in one else name, one) for one in patterns)


def _is_sample(path: PurePosixPath) -> bool:
    words = ("example", "template", "sample", "fixture", "test")
    return any(word in str(path).lower() for word in words)


def _document(path: PurePosixPath, content: str) -> Node | None:
    try:
        return read_document(path, content)
    except (ValueError, RecursionError):
        return None


def _about_tool(make: _Maker, tool: Tool) -> Iterator[Finding]:
    for text in tool.texts:
        wrong = instruction_in(text.text)
        if wrong is not None:
            yield make.finding(
                "tool-description-instructs", text.start, text.end,
                f"What the model reads about the tool '{tool.name}' gives it orders: {wrong[0]}.",
                {"tool": tool.name, "words": wrong[1]},
            )  # fmt: skip
        for one in find_hidden(text.text):  # written as escapes, so the file itself looks clean
            wrong = instruction_in(one.says)
            yield make.finding(
                "hidden-text-says" if one.says else "hidden-text", text.start, text.end,
                f"What the model reads about the tool '{tool.name}' holds {one.form} that nobody"
                f" sees"
                + (f": \"{one.says[:160]}\"." if one.says else "."),
                {"tool": tool.name, "says": one.says[:1000], "form": one.form},
                severity=Severity.CRITICAL if wrong else None,
            )  # fmt: skip


def _identities(servers: dict[str, list[tuple[PurePosixPath, str, Server]]]) -> Iterator[Finding]:
    for places in servers.values():
        known = [place for place in places if place[2].identity]
        first = known[0] if known else None
        for path, content, server in known[1:]:
            if first is None or server.identity == first[2].identity or path == first[0]:
                continue
            if server.identity.split(":")[0] != first[2].identity.split(":")[0]:
                continue  # the same thing by a package here and by its host there
            node = server.package.node if server.package else server.url or server.node
            yield _Maker(path, content).finding(
                "server-changes-identity", node.start, node.end,
                f"The server '{server.name}' is {server.identity.split(':', 1)[1]} here and"
                f" {first[2].identity.split(':', 1)[1]} in {first[0]}.",
                {"here": server.identity, "there": first[2].identity, "file": str(first[0])},
            )  # fmt: skip


def _shadows(tools: list[tuple[PurePosixPath, str, Tool]]) -> Iterator[Finding]:
    by_name: dict[str, list[tuple[PurePosixPath, str, Tool]]] = {}
    for place in tools:
        by_name.setdefault(place[2].name, []).append(place)
    own: dict[str, set[str]] = {}
    for _, _, tool in tools:
        own.setdefault(tool.server, set()).add(tool.name)
    names = sorted(name for name in by_name if len(name) >= 5 and not name.isalpha())[:500]
    for path, content, tool in tools:
        for name in names:
            if name in own[tool.server] or not any(name in text.text for text in tool.texts):
                continue
            text = tool.speaks_of(name)
            if text is not None:
                yield _Maker(path, content).finding(
                    "tool-shadows-tool", text.start, text.end,
                    f"What the model reads about the tool '{tool.name}' of '{tool.server}' gives"
                    f" orders about"
                    f" '{name}', a tool of '{by_name[name][0][2].server}'.",
                    {"tool": tool.name, "about": name},
                )  # fmt: skip
