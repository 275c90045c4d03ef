package cli_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/cli"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/client/kube"
	"github.com/watchhistory/watchhistory/pkg/history"
)

func TestHint_EveryCauseHasOne(t *testing.T) {
	failure := func(code history.Code, cause error) error {
		return fmt.Errorf("ask: %w", &history.Error{Code: code, Message: "it failed", Err: cause})
	}
	connect := func(reason kube.Reason) error {
		return failure(history.Unavailable, &kube.ConnectError{
			Reason: reason, Namespace: "tools", Role: kube.Role{Namespace: "tools", User: "jane"},
			Evidence: kube.Evidence{Pod: "recorder-0", Container: "recorder", Log: true, Previous: true},
		})
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{failure(history.Invalid, client.ErrInvalidURL), "--recorder-url"},
		{failure(history.Internal, client.ErrQueryTimeout), "--since"},
		{failure(history.Invalid, client.ErrTooLarge), "--chunk-size"},
		{failure(history.Unavailable, client.ErrNoCursor), "Upgrade the recorder"},
		{failure(history.Internal, client.ErrNotRecorder), "/health"},
		{failure(history.Unavailable, client.ErrRefused), "is the port right"},
		{failure(history.Unavailable, client.ErrUnknownHost), "host's name"},
		{failure(history.Unavailable, client.ErrUntrusted), "--recorder-ca"},
		{failure(history.Unavailable, client.ErrNotTLS), "http://"},
		{failure(history.Unauthorized, client.ErrAnswered), "--send-credentials"},
		{failure(history.Forbidden, client.ErrAnswered), "kubectl auth can-i list pods"},
		{failure(history.Unavailable, client.ErrAnswered), "recorder's log"},
		{failure(history.Internal, errors.Join(client.ErrAnswered, client.ErrQueryTimeout)), "--since"},
		{failure(history.Unavailable, errors.Join(client.ErrBusy, client.ErrAnswered)), "--request-timeout"},
		{failure(history.Unavailable, errors.Join(client.ErrBusy, client.ErrGateway)), "--request-timeout"},
		{failure(history.Unauthorized, client.ErrGateway), "USER:PASSWORD"},
		{failure(history.Forbidden, client.ErrGateway), "USER:PASSWORD"},
		{failure(history.Unavailable, client.ErrGateway), "Try again"},
		{failure(history.Unavailable, context.DeadlineExceeded), "--request-timeout"},
		{failure(history.Unavailable, nil), "Try again"},
		{connect(kube.NotInstalled), "kubectl watchhistory install --apply"},
		{connect(kube.NotFoundHere), "--recorder-namespace"},
		{connect(kube.Ambiguous), "--recorder-namespace"},
		{connect(kube.WrongService), "kubectl watchhistory install --apply"},
		{connect(kube.NoSelector), "--connect=proxy"},
		{connect(kube.NoAuthorities), "--recorder-ca"},
		{connect(kube.ProxyWithoutCredentials), "--send-credentials"},
		{connect(kube.NoPods), "kubectl -n tools get statefulsets,events"},
		{connect(kube.PodFailed), "kubectl -n tools logs recorder-0 -c recorder --previous"},
		{connect(kube.Unreachable), "kubectl -n tools get pods"},
		{connect(kube.NoCredentials), "kubectl auth whoami"},
		{connect(kube.Unauthorized), "log in again"},
		{connect(kube.PermissionDenied), `name: "jane"`},
		{connect(kube.APIError), "--connect"},
		{connect(kube.NoAPIServer), "kubectl version"},
	} {
		hinted := cli.WithHint(tt.err)
		if got := history.HintOf(hinted); !strings.Contains(got, tt.want) {
			t.Errorf("hint for %v: got %q, want one with %q", errors.Unwrap(errors.Unwrap(tt.err)), got, tt.want)
		}
		if hinted.Error() != tt.err.Error() || history.CodeOf(hinted) != history.CodeOf(tt.err) {
			t.Errorf("with a hint: got %v with code %s, want %v with code %s",
				hinted, history.CodeOf(hinted), tt.err, history.CodeOf(tt.err))
		}
	}
}

// TestHint_DependsOnRoute checks the hints for a recorder that was found in the
// cluster, where no URL was given.
func TestHint_DependsOnRoute(t *testing.T) {
	for _, tt := range []struct {
		code  history.Code
		cause error
		want  string
	}{
		{history.Unavailable, client.ErrUntrusted, "ConfigMap watchhistory-recorder-ca"},
		{history.Unavailable, client.ErrNotTLS, "kubectl watchhistory install --apply"},
		{history.Unauthorized, client.ErrAnswered, "kubectl auth whoami"},
		{history.Forbidden, client.ErrAnswered, "kubectl auth can-i impersonate users"},
		{
			history.Unavailable, client.ErrAnswered,
			"kubectl -n tools logs -l app.kubernetes.io/name=watchhistory-recorder",
		},
		{history.Unavailable, nil, "kubectl -n tools get pods"},
	} {
		got := history.HintOf(cli.WithClusterHint(&history.Error{Code: tt.code, Message: "it failed", Err: tt.cause}))
		if !strings.Contains(got, tt.want) {
			t.Errorf("hint for %s, %v: got %q, want one with %q", tt.code, tt.cause, got, tt.want)
		}
	}
}

// TestHint_NamesFlag checks an error about a parameter of the API.
func TestHint_NamesFlag(t *testing.T) {
	wrong := &history.Error{
		Code: history.Invalid, Message: "http://h answered: parameter q: no value",
		Err: errors.Join(client.ErrAnswered, &client.ParameterError{Parameter: "q", Problem: "no value"}),
	}
	got := cli.WithHint(wrong)
	if got.Error() != "-q, --query: no value" || history.CodeOf(got) != history.Invalid || !errors.Is(got, wrong) {
		t.Errorf("got %v with code %s, want -q, --query: no value, with code invalid", got, history.CodeOf(got))
	}
	wrong.Err = &client.ParameterError{Parameter: "order", Problem: "no value"}
	if got := cli.WithHint(wrong); got != error(wrong) { //nolint:errorlint // the error must be the same
		t.Errorf("without a flag: got %v, want %v unchanged", got, wrong)
	}
}

// TestParameterFlags_AreComplete fails if a parameter of the API has neither a
// flag nor a reason, and if a flag does not exist.
func TestParameterFlags_AreComplete(t *testing.T) {
	const fixed, argument, noCommand = "its values are fixed", "it is an argument", "no command has this query"
	none := map[string]string{
		v1.ParamResourceType: argument, v1.ParamResourceName: argument, v1.ParamGroup: argument,
		v1.ParamVerb: fixed, v1.ParamUser: fixed, v1.ParamManager: fixed, v1.ParamReason: fixed, v1.ParamType: fixed,
		v1.ParamCursor: fixed, v1.ParamOrder: fixed, v1.ParamSummary: fixed, v1.ParamEmpty: fixed,
		v1.ParamDescendants: fixed, v1.ParamWatch: fixed, v1.ParamClass: noCommand, v1.ParamFold: fixed,
		v1.ParamStrip: fixed, v1.ParamOutcome: fixed, v1.ParamPrevious: fixed,
		v1.ParamCount: fixed, v1.ParamProblem: fixed,
		v1.ParamNoise: noCommand, v1.ParamHash: noCommand, v1.ParamVersions: noCommand,
	}
	source, err := os.ReadFile("../api/v1/api.go")
	if err != nil {
		t.Fatal(err)
	}
	parameters := regexp.MustCompile(`(?m)^\tParam\w+\s+= "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	if len(parameters) < 20 {
		t.Fatalf("got %d parameters, want at least 20", len(parameters))
	}
	flags := cli.ParameterFlags()
	for _, p := range parameters {
		if _, excluded := none[p[1]]; (flags[p[1]] != "") == excluded {
			t.Errorf("parameter %s: got flag %q, excluded: %t, want exactly one", p[1], flags[p[1]], excluded)
		}
	}
	if got, want := len(flags)+len(none), len(parameters); got != want {
		t.Errorf("got %d parameters with a flag or a reason, want %d", got, want)
	}
	known := map[string]bool{}
	root := cli.New(cli.System("v1.2.3"))
	for _, command := range append(root.Commands(), root) {
		for _, set := range []*pflag.FlagSet{command.Flags(), command.PersistentFlags()} {
			set.VisitAll(func(f *pflag.Flag) {
				name := "--" + f.Name
				if f.Shorthand != "" {
					name = "-" + f.Shorthand + ", " + name
				}
				known[name] = true
			})
		}
	}
	for parameter, flag := range flags {
		if !known[flag] {
			t.Errorf("parameter %s: got flag %q, want one that exists", parameter, flag)
		}
	}
}

func TestHint_OtherErrorsHaveNone(t *testing.T) {
	for _, err := range []error{
		errors.New("disk full"),
		&history.Error{Code: history.NotFound, Message: "no such object"},
		context.Canceled,
	} {
		if got := cli.WithHint(err); got != err { //nolint:errorlint // the error must be the same
			t.Errorf("with a hint: got %v, want %v unchanged", got, err)
		}
	}
	own := &history.Error{Code: history.Unavailable, Message: "busy", Hint: "wait"}
	if got := history.HintOf(cli.WithHint(own)); got != "wait" {
		t.Errorf("hint of an error with a hint: got %q, want %q", got, "wait")
	}
}
