"""The scan engine: rules in Semgrep's syntax, matched on tree-sitter trees."""
