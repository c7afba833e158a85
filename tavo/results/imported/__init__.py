"""Findings of other tools: SARIF 2.1.0 of any shape -> findings, rules and notices of ours."""
