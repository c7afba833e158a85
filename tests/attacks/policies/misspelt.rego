package main

import rego.v1

deny contains "serious" if severty == "critical"
