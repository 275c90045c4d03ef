package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/version"
	authenticationv1client "k8s.io/client-go/kubernetes/typed/authentication/v1"
	"k8s.io/client-go/rest"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/client/kube"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// apiServer checks the kubeconfig and the API server. It reports whether the
// recorder can be looked for: with a URL, always.
func (e *examination) apiServer(ctx context.Context) bool {
	const name = "API server"
	bad := render.FindingError
	if e.url != "" {
		bad = render.FindingWarning
	}
	config, err := e.apiConfig()
	if err != nil {
		e.add(name, bad, "no cluster configured: "+err.Error(), "Give a kubeconfig with --kubeconfig, or a recorder "+
			"with --recorder-url.")
		return e.url != ""
	}
	resume := e.env.suspendProgress()
	release, err := e.askAPIServer(ctx, config)
	resume()
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // without the URL, which is part of the message
		}
		hint := hintAPIServer
		if apierrors.IsUnauthorized(err) {
			hint = "The cluster does not accept your credentials: log in again, or choose another context."
		}
		e.add(name, bad, config.Host+": "+err.Error(), hint)
		return e.url != ""
	}
	message := config.Host + " (" + release + ")"
	if e.user != "" {
		message += ", as " + e.user
	}
	e.ok(name, message)
	return true
}

// askAPIServer returns the version of the API server. It notes who the caller
// is, if the API server says it.
func (e *examination) askAPIServer(ctx context.Context, config *rest.Config) (release string, err error) {
	client, err := authenticationv1client.NewForConfig(config)
	if err != nil {
		return "", err
	}
	body, err := client.RESTClient().Get().AbsPath("/version").DoRaw(ctx)
	if err != nil {
		return "", err
	}
	var found struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal(body, &found); err != nil || found.GitVersion == "" {
		return "", invalidf("it does not answer as a Kubernetes API server")
	}
	// Without credentials, /version is answered too.
	self, err := client.SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	switch {
	case apierrors.IsUnauthorized(err):
		return "", err
	case err == nil:
		e.user = self.Status.UserInfo.Username
	}
	return found.GitVersion, nil
}

// recorder looks for the recorder and its pods. It reports whether there is
// one.
func (e *examination) recorder(ctx context.Context) bool {
	const name = "recorder"
	if e.url != "" {
		e.ok(name, e.url)
		return true
	}
	config, err := e.config.ToRawKubeConfigLoader().ClientConfig()
	if err != nil {
		e.fail(name, err)
		return false
	}
	e.prepareLogin(config)
	found, err := kube.Inspect(ctx, kube.Options{
		Options: client.Options{UserAgent: e.userAgent()}, RESTConfig: config, Namespace: e.namespace,
		Display: e.env.display(),
	})
	switch {
	case found == nil:
		e.fail(name, err)
		return false
	case err != nil:
		err = e.withHint(err)
		e.add(name, render.FindingWarning,
			found.Namespace+"/"+found.Name+", its pods are not known: "+err.Error(), history.HintOf(err))
		return true
	}
	e.pods(name, found)
	return true
}

// pods adds the finding about the pods of a recorder.
func (e *examination) pods(name string, found *kube.Recorder) {
	message := found.Namespace + "/" + found.Name
	if len(found.Pods) == 0 {
		e.ok(name, message)
		return
	}
	pod := &found.Pods[0]
	if !pod.Ready {
		e.add(name, render.FindingWarning, message+", pod "+pod.Name+" is not ready: "+pod.Problem,
			"See why with: kubectl -n "+found.Namespace+" "+evidenceCommand(pod.Evidence))
		return
	}
	age := duration.HumanDuration(max(e.env.Now().Sub(pod.Created), 0))
	message += ", pod " + pod.Name + " is ready, " + age + " old"
	if more := len(found.Pods) - 1; more > 0 {
		e.add(name, render.FindingWarning, fmt.Sprintf("%s, and there are %d other pods", message, more),
			"Each recorder has a history of its own, so run only one.")
		return
	}
	e.ok(name, message)
}

// reachable checks the connection to the recorder.
func (e *examination) reachable(ctx context.Context, s *session) bool {
	const name = "connection"
	if err := s.Health(ctx); err != nil {
		e.fail(name, err)
		return false
	}
	message := e.route.mode
	switch {
	case e.route.identified:
		e.ok(name, message+" with TLS, and with your credentials")
	case e.route.secure:
		e.ok(name, message+" with TLS, without credentials")
	default:
		e.add(name, render.FindingWarning, message+" without TLS: everyone who reaches the recorder reads everything "+
			"that it shows", "The manifests of 'kubectl watchhistory install' use TLS and identify callers.")
	}
	return true
}

// version compares the versions of the plugin and of the recorder. It returns
// what the recorder says about itself, or nil.
func (e *examination) version(ctx context.Context, s *session) *v1.Recorder {
	const name = "version"
	plugin := "kubectl-watchhistory " + e.env.Version
	about, err := s.Recorder(ctx)
	switch {
	case history.CodeOf(err) == history.NotFound:
		e.add(name, render.FindingWarning, plugin+"; the recorder is too old to report its version", hintUpgrade)
		return nil
	case err != nil:
		e.fail(name, err)
		return nil
	}
	message := plugin + ", recorder " + about.Version
	if !about.Started.IsZero() {
		up := duration.HumanDuration(max(e.env.recorderNow().Sub(about.Started), 0))
		message += ", running for " + up
	}
	mine, mineErr := version.ParseSemantic(e.env.Version)
	other, otherErr := version.ParseSemantic(about.Version)
	if mineErr == nil && otherErr == nil && other.LessThan(mine) {
		e.add(name, render.FindingWarning, message+": the recorder is older, and lacks features of this program",
			hintUpgrade)
	} else {
		e.ok(name, message)
	}
	return about
}

// clock compares the clocks of this machine and of the recorder.
func (e *examination) clock() {
	const name = "clock"
	offset := e.env.clockOffset()
	switch {
	case offset.Abs() > maxClockSkew:
		e.add(name, render.FindingWarning, "this machine's clock differs from the recorder's by "+
			duration.HumanDuration(offset.Abs().Round(time.Second)),
			"Synchronize the clocks. Until then, relative times and ages use the recorder's clock.")
	case offset != 0:
		e.ok(name, "differs by "+duration.HumanDuration(offset.Abs().Round(time.Second)))
	default:
		e.ok(name, "as the recorder's")
	}
}

// bindCommand returns the command by which an administrator permits a user to
// read a namespace.
func bindCommand(user, namespace string) string {
	if user == "" {
		user = "YOU"
	}
	account, isAccount := strings.CutPrefix(user, "system:serviceaccount:")
	subject := "--user='" + strings.ReplaceAll(user, "'", `'\''`) + "'"
	if isAccount {
		subject = "--serviceaccount=" + account
	}
	return "kubectl -n " + namespace + " create rolebinding watchhistory-view --clusterrole=view " + subject
}
