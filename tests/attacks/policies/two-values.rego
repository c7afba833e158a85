package main

import rego.v1

deny := ["one"] if input.summary
deny := ["two"] if input.summary.findings >= 0
