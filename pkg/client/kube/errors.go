package kube

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/watchhistory/watchhistory/pkg/client/internal/quote"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// ConnectError is the cause of an error of this package. It has the data with
// which a program can advise its user.
type ConnectError struct {
	Reason    Reason
	Namespace string // of the recorder, or that was searched; empty: all
	Evidence  Evidence
	Role      Role  // for PermissionDenied: what the caller needs
	Err       error // the API server's or kubelet's error; may be nil
}

// Reason is why a recorder can't be reached.
type Reason string

// The reasons.
const (
	// NotInstalled: no Service and no pod of a recorder was found.
	NotInstalled Reason = "not installed"
	// NotFoundHere: there is none in the default namespace, and the caller may
	// not look in others.
	NotFoundHere Reason = "not in the default namespace"
	// Ambiguous: several recorders were found.
	Ambiguous Reason = "several recorders"
	// WrongService: the Service or the pod lacks the port of the API.
	WrongService Reason = "no port of the API"
	// NoSelector: the Service does not select pods.
	NoSelector Reason = "no selector"
	// NoPods: the Service's pods do not exist.
	NoPods Reason = "no pods"
	// PodFailed: the pod does not run or is not ready. Evidence is where the
	// cause can be found.
	PodFailed Reason = "pod failed"
	// Unreachable: the pod or the Service does not accept connections.
	Unreachable Reason = "unreachable"
	// NoAuthorities: the certificate authorities by which the recorder is
	// verified are not published, or not valid.
	NoAuthorities Reason = "no certificate authorities"
	// ProxyWithoutCredentials: the recorder identifies its callers, and the API
	// server's proxy does not pass credentials on.
	ProxyWithoutCredentials Reason = "proxy without credentials"
	// NoCredentials: the credentials for the API server can't be obtained.
	NoCredentials Reason = "no credentials"
	// Unauthorized: the API server does not accept the credentials.
	Unauthorized Reason = "unauthorized"
	// PermissionDenied: the caller lacks the permissions of Role.
	PermissionDenied Reason = "permission denied"
	// APIError: the API server answered with another error.
	APIError Reason = "API server error"
	// NoAPIServer: the API server did not answer.
	NoAPIServer Reason = "no API server"
)

// Evidence is where the cause of a pod's failure can be found.
type Evidence struct {
	Pod string
	// Container is the container whose log has the cause. If it is empty, and
	// Log is set, the pod has only one log.
	Container string
	Log       bool // the log, and not the pod's status
	Previous  bool // the log of the container's previous run
}

// Error returns the reason and the cause.
func (e *ConnectError) Error() string {
	if e.Err == nil {
		return string(e.Reason)
	}
	return fmt.Sprintf("%s: %v", e.Reason, e.Err)
}

// Unwrap returns the API server's or kubelet's error.
func (e *ConnectError) Unwrap() error { return e.Err }

// Role is a Role in one namespace, and the user who needs it.
type Role struct {
	Namespace string
	User      string // empty if unknown
	rules     string // YAML
}

// forwardRole permits finding the recorder, reading its certificate authorities
// and forwarding a port to it. API servers before 1.35 require get for the
// WebSocket, later ones create, too. SPDY requires create.
func forwardRole(namespace string) Role {
	return Role{Namespace: namespace, rules: `- {apiGroups: [""], resources: [services, pods], verbs: [get, list]}
- {apiGroups: [""], resources: [configmaps], resourceNames: [` + AuthoritiesName + `], verbs: [get]}
- {apiGroups: [""], resources: [pods/portforward], verbs: [get, create]}`}
}

// proxyRole permits finding the recorder and using the API server's proxy of a
// resource: services or pods.
func proxyRole(namespace, resource string) Role {
	return Role{Namespace: namespace, rules: `- {apiGroups: [""], resources: [` + resource + `], verbs: [get, list]}
- {apiGroups: [""], resources: [` + resource + `/proxy], verbs: [get]}`}
}

// to returns the role for the user that the API server's message names.
func (r Role) to(message string) Role {
	r.User, _ = denied(message)
	return r
}

// Manifest returns the Role and a RoleBinding as YAML. Without a User, the
// manifest names YOU.
func (r Role) Manifest() string {
	user := r.User
	if user == "" {
		user = "YOU"
	}
	return fmt.Sprintf(`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: watchhistory-reader, namespace: %[1]s}
rules:
%[2]s
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: watchhistory-reader, namespace: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: watchhistory-reader}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: %[3]q}
`, r.Namespace, r.rules, user)
}

// denied parses an API server's denial, `pods "x" is forbidden: User "jane"
// cannot …`, into the user and the sentence from "User" on.
func denied(text string) (user, sentence string) {
	found := regexp.MustCompile(`User "([^"]+)" cannot [^\n]+`).FindStringSubmatch(text)
	if found == nil {
		return "", ""
	}
	return found[1], found[0]
}

// credentialsPrefix begins the errors of credential plugins. These errors have
// no type, and only their text is passed on.
const credentialsPrefix = "getting credentials: "

// lacksPermission reports whether an authenticated caller was denied, so that
// another way may be permitted.
//
// It returns false for credentials that were not accepted. Another way would
// not accept them either, and each attempt may prompt.
func lacksPermission(err error) bool {
	return history.CodeOf(err) == history.Forbidden && !apierrors.IsUnauthorized(err)
}

// apiFailure returns the error of a failed request to the API server. operation
// is a verb phrase for the message. needed is the role that permits the
// request.
func apiFailure(operation string, err error, needed Role) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", operation, err)
	}
	message := messageOf(err)
	cause := &ConnectError{Reason: NoAPIServer, Namespace: needed.Namespace, Err: err}
	failure := &history.Error{Code: history.Unavailable, Message: "can't " + operation + ": " + message, Err: cause}
	_, credentials, missing := strings.Cut(err.Error(), credentialsPrefix)
	switch {
	case missing:
		failure.Message = "can't " + operation + ": no credentials: " + quote.Line(credentials)
		cause.Reason = NoCredentials
	case apierrors.IsForbidden(err) || strings.Contains(message, " is forbidden: "):
		failure.Code = history.Forbidden
		failure.Message = "you may not " + operation + ": " + message
		cause.Reason, cause.Role = PermissionDenied, needed.to(message)
	case apierrors.IsUnauthorized(err):
		failure.Code = history.Forbidden
		cause.Reason = Unauthorized
	case apierrors.ReasonForError(err) != "":
		cause.Reason = APIError
	}
	return failure
}

// messageOf returns the API server's own message, without the texts of the
// layers between.
//
// A server that denied both a WebSocket and SPDY may have named the missing
// permission only once. That sentence is appended if the first message lacks
// it.
func messageOf(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Message == "" {
		return quote.Line(err.Error())
	}
	message := status.Status().Message
	if _, sentence := denied(err.Error()); !strings.Contains(message, sentence) {
		message += " " + sentence
	}
	return quote.Line(message)
}
