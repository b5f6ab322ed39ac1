# Who may use what, for Touchmark's authzen package with Form OPA. The rule answer is at
# /v1/data/touchmark/answer.
package touchmark

# The answer names the request that it answers.
answer := {
	"request_id": input.request_id,
	"decision": allow,
	"context": object.union({"policy_version": "rego-1"}, conditions),
}

default allow := false

# Callers with a badge of level 2 read.
allow if {
	startswith(input.resource.id, "read_")
	input.context.badge.level >= 2
}

# And search, not for long.
allow if searches

default conditions := {}

conditions := {"obligations": [{
	"id": "1",
	"type": "custom",
	"properties": {"vendor": "dev.touchmark", "max_runtime_sec": 5},
}]} if {
	searches
}

# Whoever may deploy has to be told so.
conditions := {"access_request": {
	"endpoint": "https://pdp.example.com/access/v1/requests",
	"expires_at": "2100-01-01T00:00:00Z",
}} if {
	input.resource.id == "deploy"
}

searches if {
	input.action.name == "tools/call"
	input.resource.id == "search"
	input.context.badge.level >= 1
}
