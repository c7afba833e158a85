package main

import rego.v1

deny contains "x"

exception contains "deny"
