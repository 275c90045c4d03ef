package cli

import (
	"context"
	"errors"
	"fmt"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/client/kube"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// Hints for errors of the packages client and kube. Those packages state only
// facts. This one owns the flags, and its user has kubectl.
const (
	hintNarrow = "Narrow the query, with --since or a type."
	hintBusy   = "Other queries keep the recorder busy. Try again later, narrow the query with --since or a type,\n" +
		"or allow more time with --request-timeout."
	hintInstall = "Install one with: kubectl watchhistory install --apply\n" +
		"or name an existing one, with --recorder-namespace or --recorder-url."
	hintRepair    = "Install the recorder's own manifests again: " + hintRepairCommand
	hintUpgrade   = "Upgrade the recorder, with the same flags as before: " + hintRepairCommand
	hintAPIServer = "Does the API server answer? Check with kubectl version; the context selects the cluster."
	hintOtherWay  = "Try again, or reach the recorder another way, with --connect or --recorder-url."
	hintRights    = "The cluster decides what you may read. See your permissions with: kubectl auth can-i list pods\n" +
		"and, for --as, with: kubectl auth can-i impersonate users"
	hintLogin = "The recorder accepts the credentials that the cluster accepts: log in again, or choose another " +
		"context. Check with: kubectl auth whoami"
)

// hintRepairCommand upgrades a recorder, and restores its objects.
const hintRepairCommand = "kubectl watchhistory install --apply"

// parameterFlags are the flags whose values become parameters of the API, by
// the name of the parameter. They are written as in the errors of package
// pflag.
func parameterFlags() map[string]string {
	return map[string]string{
		v1.ParamLabelSelector: "-l, --selector",
		v1.ParamFieldSelector: "--field-selector",
		v1.ParamQuery:         "-q, --query",
		v1.ParamStart:         "--since",
		v1.ParamEnd:           "--until",
		v1.ParamLimit:         "--chunk-size",
		v1.ParamNamespace:     "-n, --namespace",
		v1.ParamRevision:      "--revision",
		v1.ParamUID:           "--uid",
		v1.ParamAt:            "--at",
		v1.ParamFrom:          "--from",
		v1.ParamTo:            "--to",
		v1.ParamDepth:         "--depth",
		v1.ParamWriter:        "--who",
		v1.ParamText:          "--grep",
		v1.ParamConsequences:  "--expand",
	}
}

// withFlag returns an error with the name of the flag whose value the recorder
// rejected. Other errors are returned unchanged.
func withFlag(err error) error {
	if wrong, ok := errors.AsType[*client.ParameterError](err); ok {
		if flag := parameterFlags()[wrong.Parameter]; flag != "" {
			return &history.Error{Code: history.CodeOf(err), Message: flag + ": " + wrong.Problem, Err: err}
		}
	}
	return err
}

// withHint adds the hint for the cause of an error, unless the error has a hint
// already, and names the flag that caused it.
//
// The hint depends on the connection: the same failure has another remedy if
// the recorder is reached by URL than through the cluster.
func (c *connection) withHint(err error) error {
	err = withFlag(err)
	failure, ok := errors.AsType[*history.Error](err)
	if !ok || failure.Hint != "" {
		return err
	}
	hint := ""
	if cause, ok := errors.AsType[*kube.ConnectError](err); ok {
		hint = connectHint(cause)
	} else {
		hint = c.clientHint(failure)
	}
	if hint == "" {
		return err
	}
	return history.WithHint(err, hint)
}

// clientHint returns the hint for an error of package client. A known cause
// takes precedence over a code, because it is more specific.
func (c *connection) clientHint(failure *history.Error) string {
	for _, known := range []struct {
		cause error
		hint  string
	}{
		{client.ErrInvalidURL, "Give it as http://HOST[:PORT], with --recorder-url."},
		{client.ErrQueryTimeout, hintNarrow},
		{client.ErrBusy, hintBusy},
		{client.ErrTooLarge, "Request less at once, with a smaller --chunk-size, --since or a type."},
		{client.ErrNoCursor, "Upgrade the recorder, or narrow the query."},
		{
			client.ErrNotRecorder,
			"Check the URL or the Service that was given: GET /health must answer that it is healthy.",
		},
		{client.ErrRefused, "Nothing listens there: is the recorder running, and is the port right?"},
		{client.ErrUnknownHost, "Check the host's name in the URL."},
		{client.ErrUntrusted, c.untrustedHint()},
		{client.ErrNotTLS, c.notTLSHint()},
	} {
		if errors.Is(failure, known.cause) {
			return known.hint
		}
	}
	if errors.Is(failure, client.ErrAnswered) {
		return c.answerHint(failure.Code)
	}
	refused := failure.Code == history.Unauthorized || failure.Code == history.Forbidden
	switch {
	case refused && errors.Is(failure, client.ErrGateway):
		return "Give the credentials in the URL, as in https://USER:PASSWORD@HOST, " +
			"or leave out --recorder-url to use the API server."
	case failure.Code != history.Unavailable:
		return ""
	case errors.Is(failure, context.DeadlineExceeded):
		return "Narrow the query, with --since or a type, or allow more time with --request-timeout."
	case c.foundIn != "":
		return hintPods(c.foundIn)
	case c.url != "":
		return "Try again. If the error persists, see the recorder's log."
	default:
		return ""
	}
}

// untrustedHint returns the hint for a recorder that was not verified.
func (c *connection) untrustedHint() string {
	switch {
	case c.url != "":
		return "Use the name of the certificate, or give the file with its authority in --recorder-ca."
	case c.caFile != "":
		return "Leave out --recorder-ca to use the authorities that the recorder publishes."
	default:
		return "No credentials were sent. If the recorder is restarting, try again in a minute. Otherwise compare\n" +
			"the authorities of the ConfigMap " + kube.AuthoritiesName + " with those in the recorder's log."
	}
}

// notTLSHint returns the hint for a recorder that does not use TLS.
func (c *connection) notTLSHint() string {
	if c.url != "" {
		return "Give its URL as http://."
	}
	return hintRepair
}

// answerHint returns the hint for an error that the recorder itself reported.
func (c *connection) answerHint(code history.Code) string {
	switch {
	case code == history.Unauthorized && c.url != "" && !c.sendLogin:
		return "Give --send-credentials with an https URL, or leave out --recorder-url to use the API server."
	case code == history.Unauthorized:
		return hintLogin
	case code == history.Forbidden:
		return hintRights
	case code == history.Unavailable && c.foundIn != "":
		return "Try again. If the error persists, see the recorder's log with: " +
			"kubectl -n " + c.foundIn + " logs -l " + kube.ServiceSelector
	case code == history.Unavailable:
		return "Try again. If the error persists, see the recorder's log."
	default:
		return ""
	}
}

// connectHint returns the hint for an error of package kube.
func connectHint(cause *kube.ConnectError) string {
	switch cause.Reason {
	case kube.NotInstalled:
		return hintInstall
	case kube.NotFoundHere:
		return "Name its namespace with --recorder-namespace, or its URL with --recorder-url."
	case kube.Ambiguous:
		return "Choose one with --recorder-namespace, or by its URL with --recorder-url."
	case kube.WrongService:
		return hintRepair
	case kube.NoSelector:
		return "Reach the recorder with --recorder-url or, if it has no TLS, with --connect=proxy."
	case kube.NoAuthorities:
		return "The recorder publishes them. See why it has not with: kubectl -n " + cause.Namespace + " logs -l " +
			kube.ServiceSelector + "\nor give them with --recorder-ca."
	case kube.ProxyWithoutCredentials:
		return "Leave out --connect=proxy: a port-forward passes your credentials to the recorder.\n" +
			"Or give the recorder's https URL with --recorder-url and --send-credentials."
	case kube.NoPods:
		return "See why with: kubectl -n " + cause.Namespace + " get statefulsets,events"
	case kube.PodFailed:
		return "See why with: kubectl -n " + cause.Namespace + " " + evidenceCommand(cause.Evidence)
	case kube.Unreachable:
		return hintPods(cause.Namespace)
	case kube.NoCredentials:
		return "The kubeconfig's user logs in with a command or a provider; " +
			"kubectl auth whoami shows whether that works."
	case kube.Unauthorized:
		return "The cluster does not accept your credentials: log in again, or choose another context."
	case kube.PermissionDenied:
		return fmt.Sprintf("A cluster administrator can permit it with:\n\nkubectl apply -f - <<'EOF'\n%sEOF\n\n"+
			"or give the recorder's URL with --recorder-url.", cause.Role.Manifest())
	case kube.APIError:
		return hintOtherWay
	case kube.NoAPIServer:
		return hintAPIServer
	default:
		return ""
	}
}

// hintPods returns the hint for a recorder that does not answer for now.
func hintPods(namespace string) string {
	return "It may be starting or restarting. See its state with: kubectl -n " + namespace + " get pods"
}

// evidenceCommand returns the arguments of kubectl that show the cause of a
// pod's failure.
func evidenceCommand(e kube.Evidence) string {
	switch {
	case !e.Log:
		return "describe pod " + e.Pod
	case e.Container == "":
		return "logs " + e.Pod
	case e.Previous:
		return "logs " + e.Pod + " -c " + e.Container + " --previous"
	default:
		return "logs " + e.Pod + " -c " + e.Container
	}
}
