"""Rule packs that ship with tavo: one YAML file per rule, and `library/` with what rules share.

Rules this package keeps:
- an entry `use: NAME` in a list stands for the patterns of `library/NAME.yaml`; what is left after
  `tavo.scan.rule_files.expand` is plain Semgrep syntax;
- each rule has samples under `tests/scan/samples/` and a section in `docs/rules/`.
"""
