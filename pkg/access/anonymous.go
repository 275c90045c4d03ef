package access

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/access/internal/outage"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// Namespaces knows the namespaces of a cluster. It is safe for concurrent use.
type Namespaces struct{ current *namespaces }

// NewNamespaces returns the namespaces of a cluster, which are read through a
// client when they are needed. The caller owns the client.
func NewNamespaces(cluster *rest.Config, client *http.Client, logger *slog.Logger) (*Namespaces, error) {
	objects, err := metadata.NewForConfigAndClient(metadata.ConfigFor(cluster), client)
	if err != nil {
		return nil, history.Errorf(history.Invalid, "kubeconfig is invalid: %v", err)
	}
	return &Namespaces{newNamespaces(objects, outage.NewLog(logger), time.Now)}, nil
}

// Granted makes the list outdated, because a right was granted.
func (n *Namespaces) Granted() { n.current.granted() }

// Anonymous has the rights of callers without an identity, as a configuration
// gives them. Unlike those of a [Caller], they do not depend on the cluster,
// except for the creation of namespaces. It must not be modified after its
// first use, and is then safe for concurrent use.
type Anonymous struct {
	// Scopes are namespaces, or [history.ClusterScoped]. Empty means all
	// objects.
	Scopes []history.NamespaceScope
	// Resources are those of the readable objects. Empty means all.
	Resources []schema.GroupResource
	// Existing has the present namespaces: the rights do not apply to earlier
	// ones of the same name. nil means that the rights apply to those, too.
	Existing *Namespaces
}

// allows reports whether objects of the resource are readable in any scope.
func (a *Anonymous) allows(r schema.GroupResource) bool {
	return len(a.Resources) == 0 || slices.Contains(a.Resources, r)
}

// List reports whether all objects of a resource in a scope are readable.
func (a *Anonymous) List(_ context.Context, r schema.GroupResource, scope history.NamespaceScope) (bool, error) {
	return a.allows(r) && (len(a.Scopes) == 0 || slices.Contains(a.Scopes, scope)), nil
}

// Get reports whether an object is readable. An empty name means every object
// of the resource there. An empty namespace means a cluster-scoped object or,
// with an empty name, all namespaces.
func (a *Anonymous) Get(ctx context.Context, r schema.GroupResource, namespace, name string) (bool, error) {
	scope := history.ScopeOf(namespace)
	if namespace == "" && name == "" {
		scope = history.AllNamespaces
	}
	return a.List(ctx, r, scope)
}

// Path reports that no path of the API server is readable: what it serves
// belongs to no namespace and to no resource.
func (a *Anonymous) Path(context.Context, string) (bool, error) { return false, nil }

// Namespaces returns the readable namespaces that exist now, with the times of
// their creation, which are zero if the rights also apply to earlier ones. An
// error has the code [history.Unavailable].
func (a *Anonymous) Namespaces(ctx context.Context, had history.Activity) (map[string]time.Time, error) {
	var names []string
	for _, scope := range a.Scopes {
		if name, _ := scope.Namespace(); name != "" {
			names = append(names, name)
		}
	}
	readable := map[string]time.Time{}
	if len(names) == 0 {
		return readable, nil
	}
	existing := map[string]time.Time{}
	if a.Existing != nil {
		var err error
		had.Newest = maps.Clone(had.Newest)
		maps.DeleteFunc(had.Newest, func(name string, _ time.Time) bool { return !slices.Contains(names, name) })
		if existing, err = a.Existing.current.list(ctx, had); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		if at, exists := existing[name]; exists || a.Existing == nil {
			readable[name] = at
		}
	}
	return readable, nil
}
