package access_test

import (
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

func TestGate_Impersonates(t *testing.T) {
	s := serve(t, recorder(t))
	const identity = "authentication.k8s.io"
	grant(t, "boss",
		rule("", "users", "impersonate", "alice", "system:anonymous"), rule("", "groups", "impersonate", "dev"),
		rule("", "serviceaccounts", "impersonate", "robot"),
		rule(identity, "uids", "impersonate", "u-1"), rule(identity, "userextras/scopes", "impersonate", "view"))
	boss := certificate(t, clustertest.ClientCA, "boss")
	for name, tt := range map[string]struct {
		headers map[string][]string
		status  int
		want    string
	}{
		"user":            {map[string][]string{"Impersonate-User": {"alice"}}, 200, "alice"},
		"anonymous user":  {map[string][]string{"Impersonate-User": {"system:anonymous"}}, 200, "system:anonymous"},
		"service account": {map[string][]string{"Impersonate-User": {"system:serviceaccount:default:robot"}}, 200, "default:robot"},
		"all of a user": {map[string][]string{
			"Impersonate-User": {"alice"}, "Impersonate-Group": {"dev"}, "Impersonate-Uid": {"u-1"}, "Impersonate-Extra-Scopes": {"view"},
		}, 200, "alice"},
		"another user": {map[string][]string{"Impersonate-User": {"mallory"}}, 403, `user "boss" may not impersonate user "mallory"`},
		"another service account": {
			map[string][]string{"Impersonate-User": {"system:serviceaccount:default:other"}},
			403,
			`may not impersonate serviceaccount "default/other"`,
		},
		"administrators": {
			map[string][]string{"Impersonate-User": {"alice"}, "Impersonate-Group": {"dev", "system:masters"}},
			403,
			`may not impersonate group "system:masters"`,
		},
		"another UID": {
			map[string][]string{"Impersonate-User": {"alice"}, "Impersonate-Uid": {"u-2"}}, 403, `may not impersonate uid "u-2"`,
		},
		"another extra value": {
			map[string][]string{"Impersonate-User": {"alice"}, "Impersonate-Extra-Scopes": {"view", "edit"}},
			403,
			`may not impersonate userextra/"scopes" "edit"`,
		},
		"a name of several lines": {
			map[string][]string{"Impersonate-User": {"alice"}, "Impersonate-Extra-A%0ab": {"x"}}, 403, `userextra/"a\nb" "x"`,
		},
		"only a group": {map[string][]string{"Impersonate-Group": {"dev"}}, 400, "impersonation without a user"},
		"only a UID":   {map[string][]string{"Impersonate-Uid": {"u-1"}}, 400, "impersonation without a user"},
		"only extra":   {map[string][]string{"Impersonate-Extra-Scopes": {"view"}}, 400, "impersonation without a user"},
		"too many": {
			map[string][]string{"Impersonate-User": {"alice"}, "Impersonate-Group": strings.Split(strings.Repeat("dev ", 65), " ")},
			400, "want at most 64",
		},
	} {
		s.expect(t, name, request{certificate: boss, headers: tt.headers}, tt.status, tt.want)
	}
	s.expect(t, "without identity", request{headers: map[string][]string{"Impersonate-User": {"alice"}}}, 401, "not authenticated")
}

// TestGate_ImpersonatedUserHasOwnRights checks that the answer is for the
// impersonated user, in both directions.
func TestGate_ImpersonatedUserHasOwnRights(t *testing.T) {
	s := serve(t, recorder(t))
	root := certificate(t, clustertest.ClientCA, "root", "system:masters")
	grant(t, "fred", rule("", "nodes", "list"))
	for name, tt := range map[string]struct {
		headers     map[string][]string
		nodes, pods string
	}{
		"nobody":  {nil, "true", "true"},
		"user":    {map[string][]string{"Impersonate-User": {"fred"}}, "true", "false"},
		"another": {map[string][]string{"Impersonate-User": {"gina"}}, "false", "false"},
		"group":   {map[string][]string{"Impersonate-User": {"gina"}, "Impersonate-Group": {"system:masters"}}, "true", "true"},
		"account": {map[string][]string{"Impersonate-User": {"system:serviceaccount:default:x"}}, "false", "false"},
	} {
		caller := s.admit(t, request{certificate: root, headers: tt.headers})
		if got := decision(caller.List(t.Context(), nodes, history.ClusterScoped)); got != tt.nodes {
			t.Errorf("%s: list nodes: got %s, want %s", name, got, tt.nodes)
		}
		if got := decision(caller.List(t.Context(), pods, history.AllNamespaces)); got != tt.pods {
			t.Errorf("%s: list pods: got %s, want %s", name, got, tt.pods)
		}
	}
}
