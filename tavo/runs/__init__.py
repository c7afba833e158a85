"""Engines and plugins composed into one run."""
