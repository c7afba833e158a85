"""Logs of AI systems: read, normalised, searched with Sigma rules, and explained."""
