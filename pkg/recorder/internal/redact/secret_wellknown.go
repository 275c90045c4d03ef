package recorder

// isWellKnown reports whether a string of a Secret is one that Secrets of all
// clusters have: the name of a field, a type, or the name of a key that a type
// or a widespread tool demands. Such a string reveals nothing, even if a value
// of the Secret happens to be in it. Hashing it would reveal that.
func isWellKnown(text string) bool {
	return isField(text) || isSecretType(text) || isDataKey(text) || isLabelKey(text)
}

func isField(text string) bool {
	switch text {
	case "v1", "Secret", // apiVersion and kind
		"apiVersion", "kind", "metadata", "type", "immutable", "data", "stringData", // of a Secret
		"name", "namespace", "generateName", "uid", "resourceVersion", "generation", "selfLink", "labels", "annotations", "finalizers",
		"ownerReferences", "managedFields", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
		"controller", "blockOwnerDeletion", // of an owner
		"manager", "operation", "subresource", "time", "fieldsType", "fieldsV1", "FieldsV1", "Update", "Apply", "status", ".", // of managedFields
		lastApplied:
		return true
	}
	return false
}

func isSecretType(text string) bool {
	switch text {
	case "Opaque", "bootstrap.kubernetes.io/token", "kubernetes.io/basic-auth", "kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson",
		"kubernetes.io/service-account-token", "kubernetes.io/ssh-auth", "kubernetes.io/tls", "helm.sh/release.v1":
		return true
	}
	return false
}

func isDataKey(text string) bool {
	switch text {
	case ".dockercfg", ".dockerconfigjson", "ca.crt", "tls.crt", "tls.key", "ssh-privatekey", "token", "namespace", "release", // of types
		"username", "user", "password", "host", "port", "database", "dbname", "uri", "url", "key",
		"admin-user", "admin-password", "mysql-root-password", "postgres-password", "redis-password", "rabbitmq-password":
		return true
	}
	return false
}

func isLabelKey(text string) bool {
	switch text {
	case "app", "owner", "status", "version", "helm.sh/chart", "app.kubernetes.io/component", "app.kubernetes.io/instance",
		"app.kubernetes.io/managed-by", "app.kubernetes.io/name", "app.kubernetes.io/part-of", "app.kubernetes.io/version":
		return true
	}
	return false
}
