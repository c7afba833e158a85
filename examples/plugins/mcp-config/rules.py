"""The rules: what each says, how bad it is, and what to do about it."""

from __future__ import annotations

from tavo.plugins import Confidence, Rule, Severity

__all__ = ["ALL", "RULES"]


def _rule(
    name: str, title: str, severity: Severity, confidence: Confidence, about: str, advice: str,
    cwe: tuple[str, ...], owasp: tuple[str, ...],
) -> Rule:  # fmt: skip
    return Rule(
        id=name, title=title, severity=severity, confidence=confidence, description=about,
        help=advice, cwe=cwe, owasp=owasp, tags=("mcp",),
    )  # fmt: skip


ALL = (
    _rule(
        "tool-description-instructs", "Description of a tool gives orders to the model",
        Severity.HIGH, Confidence.MEDIUM,
        "Models follow what the description of a tool or of an argument says. This one says more"
        " than what the tool does.",
        "Do not connect this server. A description says what the tool does and what its"
        " arguments are; take everything else out, or tell the"
        " server's authors. Pin the version that you have read.",
        ("CWE-1427", "CWE-506"), ("LLM01:2025", "LLM03:2025", "ASI01:2026", "ASI04:2026"),
    ),
    _rule(
        "tool-shadows-tool", "Description of a tool is about another server's tool",
        Severity.HIGH, Confidence.MEDIUM,
        "A tool's description tells the model how to use a tool of another server: so one server"
        " changes what another one does.",
        "Remove the server whose tool speaks about others, and use it in no session with tools"
        " that can send or change something.",
        ("CWE-1427",), ("LLM01:2025", "ASI02:2026", "ASI04:2026"),
    ),
    _rule(
        "hidden-text-says", "Invisible characters spell a message",
        Severity.HIGH, Confidence.HIGH,
        "Nobody sees these characters, and a model may read them. What they say is in the"
        " evidence.",
        "Delete them, and find out who put them there. Treat what this file makes an agent do as"
        " an attack.",
        ("CWE-1007", "CWE-506"), ("LLM01:2025", "ASI01:2026"),
    ),
    _rule(
        "hidden-text", "Text holds characters that nobody sees",
        Severity.MEDIUM, Confidence.MEDIUM,
        "Characters without a form, or that reorder what is shown, stand in what an agent reads.",
        "Delete them. In an editor, show invisible characters first.",
        ("CWE-1007",), ("LLM01:2025",),
    ),
    _rule(
        "instructions-not-rendered", "Instructions stand where the page does not show them",
        Severity.HIGH, Confidence.MEDIUM,
        "People read the rendered page, agents read the source. What is only in the source gives"
        " orders.",
        "Delete it. Read skill and instruction files as plain text before an agent does.",
        ("CWE-1427", "CWE-506"), ("LLM01:2025", "ASI01:2026"),
    ),
    _rule(
        "server-lookalike", "Server's name is nearly that of a well-known one",
        Severity.HIGH, Confidence.MEDIUM,
        "Names one letter off a well-known package, and hosts in letters that look like others,"
        " are how strangers' servers get installed.",
        "Compare the name with the publisher's own page, letter by letter, and write the right"
        " one.",
        ("CWE-1007", "CWE-829"), ("LLM03:2025", "ASI04:2026"),
    ),
    _rule(
        "server-changes-identity", "The same server is something else in another file",
        Severity.LOW, Confidence.LOW,
        "Two configurations name a server alike and start different packages, or connect to"
        " different hosts.",
        "Decide which one it is. Who approved the name in one client has not approved the other"
        " program.",
        ("CWE-706",), ("ASI04:2026",),
    ),
    _rule(
        "server-fetches-code", "Server is code that is fetched at each start",
        Severity.HIGH, Confidence.HIGH,
        "The command fetches code and runs it at once; whoever holds the address runs code on"
        " every machine that uses this file.",
        'Install a released version and start that: `"args": ["--from", "notes-mcp==1.4.2",'
        ' "notes-mcp"]`. Code from Git is named by its full commit.',
        ("CWE-494", "CWE-829"), ("LLM03:2025", "ASI04:2026", "ASI05:2026"),
    ),
    _rule(
        "server-behind-shell", "Server is started by a line of shell",
        Severity.LOW, Confidence.MEDIUM,
        "A client shows a name and a command; this command is a small program of several steps,"
        " which is easy to overlook.",
        "Put the program itself into `command`, and its arguments into `args`. What has to be"
        " prepared belongs in a script of the repository.",
        ("CWE-78",), ("ASI05:2026",),
    ),
    _rule(
        "server-unpinned", "Server is started in whatever version is newest",
        Severity.LOW, Confidence.HIGH,
        "It is fetched again at each start. Whoever takes over the package runs code on every"
        " machine that uses this file.",
        'Name the version that you have looked at: `"args": ["-y", "@acme/notes-mcp@1.4.2"]`; an'
        ' image by its digest. Update on purpose.',
        ("CWE-1357", "CWE-494"), ("LLM03:2025", "ASI04:2026"),
    ),
    _rule(
        "server-secret", "Secret stands in the configuration of a server",
        Severity.HIGH, Confidence.MEDIUM,
        "Everyone who can read the file has it, agents that read it may repeat it, and it stays"
        " in the history.",
        'Revoke it. Take it from the environment or from what the client asks for: `"env":'
        ' {"CRM_TOKEN": "${CRM_TOKEN}"}`.',
        ("CWE-798", "CWE-312"), ("LLM02:2025", "ASI03:2026"),
    ),
    _rule(
        "server-plain-http", "Server on another machine is reached without encryption",
        Severity.MEDIUM, Confidence.HIGH,
        "Whoever is on the way reads tokens and answers, and can answer in the server's place.",
        "Use https. Behind a tunnel on this machine, name it as localhost.",
        ("CWE-319",), ("LLM03:2025", "ASI07:2026"),
    ),
    _rule(
        "server-approves-all", "All tools of a server run without asking",
        Severity.MEDIUM, Confidence.HIGH,
        "A text that the agent reads can make it call any tool of this server, with nobody asked.",
        "Name the few tools that only read: `\"alwaysAllow\": [\"search_docs\"]`.",
        ("CWE-862",), ("LLM06:2025", "ASI02:2026"),
    ),
    _rule(
        "server-reaches-host", "Server's container reaches the whole machine",
        Severity.HIGH, Confidence.HIGH,
        "It mounts the disk, a home or the container engine's socket, or has the host's"
        " privileges: the container bounds nothing.",
        "Mount the one folder that the server is for, read-only where that is enough: `-v"
        " ./docs:/docs:ro`.",
        ("CWE-250", "CWE-668"), ("LLM06:2025", "ASI05:2026"),
    ),
)  # fmt: skip
RULES = {rule.id: rule for rule in ALL}
