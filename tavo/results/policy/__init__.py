"""Policies in Rego over a run, with the conventions of conftest: deny, warn, violation, exception.

`files` reads policies and data, `documents` makes what they see, `opa` and `regopy` are the two
evaluators, neither of which is ours, and `evaluate` turns their answers into results.
"""
