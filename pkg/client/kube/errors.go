package client

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// role is what a caller needs in one namespace, to be shown when it is missing.
type role struct {
	namespace string
	rules     string // YAML
}

// forwardRole permits finding the recorder and forwarding to it. A WebSocket is a GET, for which servers from 1.35 on ask
// for create too; SPDY is a POST.
func forwardRole(namespace string) role {
	return role{namespace, `- {apiGroups: [""], resources: [services, pods], verbs: [get, list]}
- {apiGroups: [""], resources: [pods/portforward], verbs: [get, create]}`}
}

// proxyRole permits finding the recorder and asking through the API server's proxy of a Service or, without one, of pods.
func proxyRole(namespace, resource string) role {
	return role{namespace, `- {apiGroups: [""], resources: [` + resource + `], verbs: [get, list]}
- {apiGroups: [""], resources: [` + resource + `/proxy], verbs: [get]}`}
}

// hint is the role, and its binding to whom the server refused, as a command to paste.
func (r role) hint(says string) string {
	user, _ := refusal(says)
	return fmt.Sprintf(`Somebody who administers the cluster can permit it with:

kubectl apply -f - <<'EOF'
apiVersion: rbac.authorization.k8s.io/v1
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
EOF

or give the recorder's URL with --recorder-url.`, r.namespace, r.rules, user)
}

// refusal finds whom an API server refused what: `pods "x" is forbidden: User "jane" cannot …`.
func refusal(text string) (user, sentence string) {
	found := regexp.MustCompile(`User "([^"]+)" cannot [^\n]+`).FindStringSubmatch(text)
	if found == nil {
		return "YOU", ""
	}
	return found[1], found[0]
}

// gettingCredentials is how errors of credential plugins begin. They have no type, and their text is all that is passed on.
const gettingCredentials = "getting credentials: "

// lacksRight reports whether a caller who is known is not permitted to do something, so that they may try another way.
// Credentials that are not accepted won't be accepted there either, and trying may prompt for them each time.
func lacksRight(err error) bool {
	return history.CodeOf(err) == history.Forbidden && !apierrors.IsUnauthorized(err)
}

// apiFailure explains why the API server did not do what was wanted; needed is the role that permits it.
func apiFailure(doing string, err error, needed role) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	says := said(err)
	failure := &Error{Code: history.Unavailable, Message: "can't " + doing + ": " + says, Err: err}
	_, credentials, missing := strings.Cut(err.Error(), gettingCredentials)
	switch {
	case missing:
		failure.Message = "can't " + doing + ": no credentials: " + quotable(credentials)
		failure.Hint = "The kubeconfig's user logs in with a command or a provider; kubectl auth whoami shows whether that works."
	case apierrors.IsForbidden(err) || strings.Contains(says, " is forbidden: "):
		failure.Code = history.Forbidden
		failure.Message = "you may not " + doing + ": " + says
		failure.Hint = needed.hint(says)
	case apierrors.IsUnauthorized(err):
		failure.Code = history.Forbidden
		failure.Hint = "The cluster does not accept your credentials: log in again, or choose another context."
	case apierrors.ReasonForError(err) != "":
		failure.Hint = "Try again, or reach the recorder another way, with --connect or --recorder-url."
	default:
		failure.Hint = "Does the API server answer? kubectl version should; the context chooses the cluster."
	}
	return failure
}

// said is an API server's own message where there is one, without what the layers in between add. A server that was asked
// twice, for a WebSocket and for SPDY, may have told only the second time what is missing.
func said(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Message == "" {
		return quotable(err.Error())
	}
	message := status.Status().Message
	if _, sentence := refusal(err.Error()); !strings.Contains(message, sentence) {
		message += " " + sentence
	}
	return quotable(message)
}
