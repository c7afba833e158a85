package main

import rego.v1

deny contains "x" if {
	some a in numbers.range(1, 100000)
	some b in numbers.range(1, 100000)
	(a * b) == -1
}
