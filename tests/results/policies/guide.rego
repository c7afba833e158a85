package main

import rego.v1

# nothing critical or high outside the tests
deny_serious contains msg if {
	input.finding.severity_rank >= 3
	not startswith(input.finding.path, "tests/")
	msg := sprintf("%s: %s in %s", [input.finding.severity, input.finding.rule_id, input.finding.path])
}

# what this team bans whatever the severity is
violation contains {"msg": msg, "details": {"cwe": cwe, "owner": owner}} if {
	some cwe in input.finding.cwe
	cwe in data.banned_cwe
	owner := owner_of(split(input.finding.path, "/")[0])
	msg := sprintf("%s is banned, ask %s", [cwe, owner])
}

warn_unsure contains msg if {
	input.finding.confidence == "low"
	msg := sprintf("look at %s by hand", [input.finding.path])
}

# an exception never lasts longer than half a year, and somebody agreed to it
deny_suppression contains msg if {
	input.suppressed.suppression.kind == "external"
	input.suppressed.severity == "critical"
	input.suppressed.suppression.approved_by == ""
	msg := sprintf("%s: nobody approved the suppression", [input.suppressed.rule_id])
}

deny_incomplete contains "the scan is not complete" if {
	input.summary
	not input.summary.complete
}

deny_many contains msg if {
	some rule, count in input.summary.by_rule
	count > data.most
	msg := sprintf("%d findings of %s, at most %d", [count, rule, data.most])
}

exception contains rules if {
	input.finding.rule_id in data.accepted
	rules := ["serious"]
}

owner_of(folder) := data.owners[folder]

owner_of(folder) := "nobody" if not data.owners[folder]
