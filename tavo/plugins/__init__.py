"""The public plugin API, version 1. Standard library only.

A name is imported when it is first used: a scanner of files does without the values of proxies.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tavo.plugins.errors import (
        BudgetError,
        CancelledCall,
        ConfigError,
        HttpError,
        NotAvailableError,
        PluginError,
        ProgramError,
        ProjectFileError,
        TargetError,
    )
    from tavo.plugins.interfaces import (
        API_VERSION,
        BasePlugin,
        Context,
        DynamicTestingPlugin,
        Log,
        LogAnalysisPlugin,
        ProxyFilteringPlugin,
        StaticAnalysisPlugin,
    )
    from tavo.plugins.levels import (
        Confidence,
        Severity,
    )
    from tavo.plugins.types import (
        Finding,
        Location,
        Region,
        Rule,
        Step,
    )
    from tavo.plugins.values import (
        Analysis,
        AttackResult,
        Attempt,
        ChatMessage,
        ChatRequest,
        ChatResponse,
        Decision,
        Event,
        FilterResult,
        HttpResponse,
        ProgramResult,
        Target,
    )

__all__ = [
    "API_VERSION",
    "Analysis",
    "AttackResult",
    "Attempt",
    "BasePlugin",
    "BudgetError",
    "CancelledCall",
    "ChatMessage",
    "ChatRequest",
    "ChatResponse",
    "Confidence",
    "ConfigError",
    "Context",
    "Decision",
    "DynamicTestingPlugin",
    "Event",
    "FilterResult",
    "Finding",
    "HttpError",
    "HttpResponse",
    "Location",
    "Log",
    "LogAnalysisPlugin",
    "NotAvailableError",
    "PluginError",
    "ProgramError",
    "ProgramResult",
    "ProjectFileError",
    "ProxyFilteringPlugin",
    "Region",
    "Rule",
    "Severity",
    "StaticAnalysisPlugin",
    "Step",
    "Target",
    "TargetError",
]

_HOMES = {
    "API_VERSION": "interfaces",
    "Analysis": "values",
    "AttackResult": "values",
    "Attempt": "values",
    "BasePlugin": "interfaces",
    "BudgetError": "errors",
    "CancelledCall": "errors",
    "ChatMessage": "values",
    "ChatRequest": "values",
    "ChatResponse": "values",
    "Confidence": "levels",
    "ConfigError": "errors",
    "Context": "interfaces",
    "Decision": "values",
    "DynamicTestingPlugin": "interfaces",
    "Event": "values",
    "FilterResult": "values",
    "Finding": "types",
    "HttpError": "errors",
    "HttpResponse": "values",
    "Location": "types",
    "Log": "interfaces",
    "LogAnalysisPlugin": "interfaces",
    "NotAvailableError": "errors",
    "PluginError": "errors",
    "ProgramError": "errors",
    "ProgramResult": "values",
    "ProjectFileError": "errors",
    "ProxyFilteringPlugin": "interfaces",
    "Region": "types",
    "Rule": "types",
    "Severity": "levels",
    "StaticAnalysisPlugin": "interfaces",
    "Step": "types",
    "Target": "values",
    "TargetError": "errors",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
