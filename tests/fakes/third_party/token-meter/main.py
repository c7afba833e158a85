"""Adds up tokens by user; whoever passes the budget is named once."""

from pathlib import PurePosixPath

from tavo.plugins import (
    Analysis,
    Confidence,
    ConfigError,
    Finding,
    Location,
    LogAnalysisPlugin,
    Region,
    Rule,
    Severity,
)

OVER = Rule(
    id="token-budget-passed",
    title="A user passed the budget of tokens",
    severity=Severity.MEDIUM,
    confidence=Confidence.HIGH,
    description="Somebody used more tokens in one log than the configuration allows.",
    help="Look at what was asked; raise the budget or the limit of the gateway.",
)
_MOST_USERS = 10_000


class TokenMeter(LogAnalysisPlugin):
    rules = (OVER,)

    def start(self, context):
        self._budget = context.config.get("budget", 100_000)
        if not isinstance(self._budget, int) or self._budget < 1:
            raise ConfigError("budget: expected a whole number above 0")
        self._used = {}
        self._total = 0

    def analyze_logs(self, log_entries):
        found = []
        for entry in log_entries:
            user, tokens = entry.fields.get("user"), entry.fields.get("tokens")
            if not isinstance(user, str) or type(tokens) is not int or not 0 < tokens < 10**9:
                continue
            if user not in self._used and len(self._used) >= _MOST_USERS:
                continue
            before = self._used.get(user, 0)
            self._used[user] = before + tokens
            self._total += tokens
            if before <= self._budget < before + tokens:
                found.append(
                    Finding(
                        rule_id=OVER.id,
                        message=f"{before + tokens} tokens, the budget is {self._budget}.",
                        severity=OVER.severity,
                        confidence=OVER.confidence,
                        location=Location(
                            path=PurePosixPath(entry.source),
                            region=Region(
                                start_line=entry.number, end_line=entry.number, end_column=2
                            ),
                        ),
                    )
                )
        return Analysis(findings=tuple(found), metrics={"tokens": self._total})
