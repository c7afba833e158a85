package main

import rego.v1

deny contains msg if msg := concat("", [sprintf("%d", [n]) | some n in numbers.range(1, 20000000)])
