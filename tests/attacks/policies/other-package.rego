package policy

import rego.v1

deny contains "x"
