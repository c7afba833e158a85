package main

import rego.v1

deny contains "x" if to_number(input.finding.rule_id) > 3
