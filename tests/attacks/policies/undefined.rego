package main

import rego.v1

allow if input.finding.severity == "low"
