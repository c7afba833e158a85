package main

import rego.v1

violation contains {"msg": ["a"]}
