package main

import rego.v1

deny contains "reached" if http.send({"method": "get", "url": "http://127.0.0.1:9/"}).status_code == 200
