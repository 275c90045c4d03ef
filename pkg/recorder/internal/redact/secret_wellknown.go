package redact

// isWellKnown reports whether a string occurs in the Secrets of all clusters.
// It may be the name of a field, a type, or a key that a type or a common tool
// requires.
//
// Such a string reveals nothing, even if it contains a value of the Secret.
// Hashing it would reveal that it does.
func isWellKnown(text string) bool {
	return isField(text) || isSecretType(text) || isDataKey(text) || isLabelKey(text)
}

// isField reports whether a string is the name of a field, or a fixed value, of
// a Secret or of its metadata.
func isField(text string) bool {
	switch text {
	case "v1", "Secret", // apiVersion and kind
		"apiVersion", "kind", "metadata", "type", "immutable", "data", "stringData", // fields of a Secret
		"name", "namespace", "generateName", "uid", "resourceVersion", "generation", "selfLink",
		"labels", "annotations", "finalizers", "ownerReferences", "managedFields",
		"creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
		"controller", "blockOwnerDeletion", // fields of an owner
		// Fields and values of managedFields.
		"manager", "operation", "subresource", "time", "fieldsType", "fieldsV1", "FieldsV1",
		"Update", "Apply", "status", ".",
		LastApplied:
		return true
	}
	return false
}

// isSecretType reports whether a string is a type of Kubernetes or Helm.
func isSecretType(text string) bool {
	switch text {
	case "Opaque", "bootstrap.kubernetes.io/token", "kubernetes.io/basic-auth", "kubernetes.io/dockercfg",
		"kubernetes.io/dockerconfigjson", "kubernetes.io/service-account-token", "kubernetes.io/ssh-auth",
		"kubernetes.io/tls", "helm.sh/release.v1":
		return true
	}
	return false
}

// isDataKey reports whether a string is a common key of data.
func isDataKey(text string) bool {
	switch text {
	// Keys that the types require, and those of common tools and databases.
	case ".dockercfg", ".dockerconfigjson", "ca.crt", "tls.crt", "tls.key", "ssh-privatekey", "token", "namespace",
		"release", "username", "user", "password", "host", "port", "database", "dbname", "uri", "url", "key",
		"admin-user", "admin-password", "mysql-root-password", "postgres-password", "redis-password",
		"rabbitmq-password":
		return true
	}
	return false
}

// isLabelKey reports whether a string is a common key of labels.
func isLabelKey(text string) bool {
	switch text {
	case "app", "owner", "status", "version", "helm.sh/chart",
		"app.kubernetes.io/component", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by",
		"app.kubernetes.io/name", "app.kubernetes.io/part-of", "app.kubernetes.io/version":
		return true
	}
	return false
}
