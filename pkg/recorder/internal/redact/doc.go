// Package redact replaces the values of an object that must not be stored by
// keyed hashes.
//
// It owns the rules for what may be stored. [Compile] turns the rules of a
// configuration into [Rules], and a [Redactor] applies them to the objects of
// one resource. There are two kinds of rules:
//
//   - The built-in rule for Secrets is a list of what may be stored. Everything
//     else is hashed. See secret.go.
//   - A rule of the configuration hashes the values at its paths. See paths.go.
//
// Both kinds are applied by one pass over the object: first the rule for
// Secrets, then the paths. Both descend into the copies of the object that
// annotations contain. Both hash the remaining strings that contain one of the
// hidden values, raw or encoded. Package leak finds those.
//
// Invariant: in doubt, a value is hashed. A copy that can't be read is hashed
// completely, and so is a string whose search exceeds a bound.
//
// Each object has its own key, which is derived from the redaction key and the
// object's identity. Equal values have equal hashes within an object, so that a
// change stays visible. Across objects they have different hashes, so a user
// can't test guesses by writing another object.
//
// Objects stay byte for byte the same, except for the hashed values. The
// package does no I/O, and no error quotes the object.
package redact
