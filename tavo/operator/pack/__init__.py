"""Making of the single file: what goes in, for which systems, laid out how."""
