// Package cedar decides by policies in the Cedar language, evaluated in process.
//
// Use [Parse], and give the [Policy] to a guard as its Policy:
//
//	@id("readers") @min_level("2")
//	permit (principal is Agent, action in Action::"invoke", resource is Tool)
//	when { resource.labels.action.contains("read") };
//
//	@id("ping") @anonymous("true")
//	permit (principal, action, resource == Tool::"ping");
//
//	@id("no_prod") forbid (principal, action, resource)
//	when { resource.risk_tags.contains("prod") && context.environment != "staging" };
//
// What is not known of a call is an attribute that is not there. Cedar skips a policy that asks for one; this package
// does not: if any policy cannot be evaluated, it could not be told, and the guard refuses. The entities, their
// attributes and the annotations are in spec/decision-services.md section 2.
package cedar
