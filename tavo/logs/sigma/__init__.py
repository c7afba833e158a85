"""Sigma rules: read, compiled into tests of events, correlated over time."""
