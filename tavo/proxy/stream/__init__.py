"""Answers that come in parts: framing, what is held back, and in which order it goes on."""
