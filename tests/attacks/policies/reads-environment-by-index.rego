package main

import rego.v1

deny contains msg if {
	some name, value in opa["runtime"]().env
	msg := sprintf("%s=%s", [name, value])
}
