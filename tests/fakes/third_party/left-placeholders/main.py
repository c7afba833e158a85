"""Finds what somebody meant to fill in later, in the prompts that a model gets."""

import re

from northwords import WORDS

from tavo.plugins import Confidence, Finding, Location, Region, Rule, Severity, StaticAnalysisPlugin

LEFT = Rule(
    id="left-placeholder",
    title="A placeholder was left in a prompt",
    severity=Severity.LOW,
    confidence=Confidence.MEDIUM,
    description="The model gets it as it is, and fills it with something that nobody chose.",
    help="Write what belongs there, or take the sentence out.",
)
_ANGLES = re.compile(r"<([A-Z][A-Z ]{2,60})>")


class LeftPlaceholders(StaticAnalysisPlugin):
    rules = (LEFT,)

    def start(self, context):
        self._most = context.config.get("most", 20)

    def analyze_file(self, file_path, content):
        found = 0
        for number, line in enumerate(content.split("\n"), start=1):
            for match in _ANGLES.finditer(line):
                if found == self._most or not set(match[1].split()) & set(WORDS):
                    continue
                found += 1
                yield Finding(
                    rule_id=LEFT.id,
                    message=f"{match[0]} was left here.",
                    severity=LEFT.severity,
                    confidence=LEFT.confidence,
                    location=Location(
                        path=file_path,
                        region=Region(
                            start_line=number,
                            start_column=match.start() + 1,
                            end_line=number,
                            end_column=match.end() + 1,
                        ),
                    ),
                )
