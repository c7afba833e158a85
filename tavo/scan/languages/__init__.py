"""One module for each language that the engine parses."""
