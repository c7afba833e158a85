"""Rule packs that ship with tavo: one YAML file per rule, and `library/` with what rules share.

Rules this package keeps:
- an entry `use: NAME` in a list stands for the patterns of `library/NAME.yaml`; what is left after
  `tavo.scan.rule_files.expand` is plain Semgrep syntax;
- each rule of `tavo_ai`, the pack that users have, has samples under `tests/scan/samples/` and a
  section in `docs/rules/`;
- `vetting` is for plugins that are handed in to a marketplace (`tavo.operator.vetting`); its
  samples are in `tests/attacks/vetting/samples/`; the operator guide says what it looks for.
"""
