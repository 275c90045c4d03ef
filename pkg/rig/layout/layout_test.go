package layout_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/rig/layout"
)

const module = "github.com/watchhistory/watchhistory"

// list returns the packages of the module.
func list(t *testing.T) (packages []layout.Package) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Name,Dir,GoFiles,Imports", "./...")
	cmd.Dir = "../../.."
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p layout.Package
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) < 40 {
		t.Fatalf("got %d packages, want at least 40", len(packages))
	}
	return packages
}

func TestImports_FollowTheLayout(t *testing.T) {
	for _, p := range list(t) {
		for _, problem := range layout.CheckImports(p) {
			t.Error(problem)
		}
	}
}

func TestPackageComments_SayWhatIsInternal(t *testing.T) {
	for _, p := range list(t) {
		for _, problem := range layout.CheckDoc(p, packageComment(t, p)) {
			t.Error(problem)
		}
	}
}

func TestPublicAPI_NamesPublicPackagesOnly(t *testing.T) {
	var public []string
	for _, p := range list(t) {
		if !layout.IsPublic(p.ImportPath) {
			continue
		}
		public = append(public, strings.TrimPrefix(p.ImportPath, module+"/"))
		for _, name := range p.GoFiles {
			path := filepath.Join(p.Dir, name)
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			problems, err := layout.CheckAPI(p.ImportPath, name, src)
			if err != nil {
				t.Fatal(err)
			}
			for _, problem := range problems {
				t.Error(problem)
			}
		}
	}
	for _, want := range []string{"pkg/api/v1", "pkg/client", "pkg/history"} {
		if !slices.Contains(public, want) {
			t.Errorf("public packages are %q, want %s among them", public, want)
		}
	}
}

// packageComment returns the package comments of all files of a package. `go
// list` prints only the first sentence.
func packageComment(t *testing.T, p layout.Package) string {
	t.Helper()
	var comments []string
	for _, name := range p.GoFiles {
		path := filepath.Join(p.Dir, name)
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		comments = append(comments, text(file.Doc))
	}
	return strings.Join(comments, "\n")
}

func text(group *ast.CommentGroup) string {
	if group == nil {
		return ""
	}
	return group.Text()
}

func TestCheckImports_FindsWhatBreaksTheLayout(t *testing.T) {
	tests := []struct {
		name, importer, imported string
		want                     []string
	}{
		{"public imports public", "pkg/client", "pkg/history", nil},
		{"public imports what Go closes", "pkg/client/kube", "pkg/internal/exchange", nil},
		{
			"public imports a step", "pkg/client", "pkg/store",
			[]string{module + "/pkg/client imports " + module +
				"/pkg/store: a public package imports public packages only"},
		},
		{
			"below a public package", "pkg/client/kube", "pkg/query",
			[]string{module + "/pkg/client/kube imports " + module +
				"/pkg/query: a public package imports public packages only"},
		},
		{
			"a rig in the product", "pkg/daemon", "pkg/rig/sample",
			[]string{module + "/pkg/daemon imports " + module + "/pkg/rig/sample: only tests import rigs"},
		},
		{"a rig in a rig", "pkg/rig/cost", "pkg/rig/sample", nil},
		{"a step imports a step", "pkg/daemon", "pkg/store", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := layout.CheckImports(layout.Package{
				ImportPath: module + "/" + test.importer,
				Imports:    []string{"fmt", module + "/" + test.imported},
			})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckDoc_FindsAMissingSentence(t *testing.T) {
	const good = "Package store is the log. It is internal to\nwatchhistory: its API changes without notice."
	tests := []struct {
		name, path, pkg, doc string
		want                 int
	}{
		{"with the sentence", "pkg/store", "store", good, 0},
		{"without", "pkg/store", "store", "Package store is the log.", 1},
		{"public", "pkg/client", "client", "Package client is public.", 0},
		{"closed by Go", "pkg/store/internal/key", "key", "Package key is closed.", 0},
		{"outside of pkg", "tools", "tools", "", 0},
		{"a program", "pkg/rig/gobuild/command", "main", "", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := layout.CheckDoc(layout.Package{ImportPath: module + "/" + test.path, Name: test.pkg}, test.doc)
			if len(got) != test.want {
				t.Errorf("got problems %q, want %d", got, test.want)
			}
		})
	}
}

func TestCheckAPI_FindsClosedPackagesInExportedDeclarations(t *testing.T) {
	const head = "package client\n\nimport (\n\t\"" + module + "/pkg/history\"\n\t\"" + module + "/pkg/store\"\n" +
		"\tx \"" + module + "/pkg/internal/exchange\"\n)\n\n"
	tests := []struct {
		name, decl string
		want       int
	}{
		{"public type in a signature", "func F(history.Record) {}", 0},
		{"parameter", "func F(*store.Store) {}", 1},
		{"result", "func F() []store.Store { panic(0) }", 1},
		{"renamed import", "func F(x.Limits) {}", 1},
		{"unexported function", "func f(store.Store) {}", 0},
		{"body", "func F() { store.Open() }", 0},
		{"method of an exported type", "func (c *Client) F(store.Store) {}", 1},
		{"method of an unexported type", "func (c *client) F(store.Store) {}", 0},
		{"exported field", "type T struct { S store.Store }", 1},
		{"unexported field", "type T struct { s store.Store }", 0},
		{"embedded field", "type T struct { store.Store }", 1},
		{"interface", "type T interface { F(store.Store) }", 1},
		{"type parameter", "type T[P store.Store] struct{}", 1},
		{"alias", "type T = store.Store", 1},
		{"variable", "var V store.Store", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := layout.CheckAPI("client", "a.go", []byte(head+test.decl+"\n"))
			if err != nil || len(got) != test.want {
				t.Errorf("%s: got problems %q and error %v, want %d problems", test.decl, got, err, test.want)
			}
		})
	}
}

// TestPlugin_LinksNoClientsOfAllTypes checks that the plugin does not compile
// the typed clients of all Kubernetes APIs, which are more than 100 packages.
func TestPlugin_LinksNoClientsOfAllTypes(t *testing.T) {
	for program, want := range map[string]bool{
		"./plugins/kubectl-watchhistory": false, "./cmd/watchhistory-recorder": true,
	} {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", program)
		cmd.Dir = "../../.."
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Contains(strings.Fields(string(out)), "k8s.io/client-go/kubernetes"); got != want {
			t.Errorf("%s links all typed clients: got %t, want %t", program, got, want)
		}
	}
}
