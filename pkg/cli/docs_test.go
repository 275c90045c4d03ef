package cli_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/watchhistory/watchhistory/pkg/cli"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// TestDocs compares docs/cli.md with the help of the commands.
func TestDocs(t *testing.T) {
	t.Setenv("KUBECACHEDIR", "~/.kube/cache")
	root := cli.New(cli.Environment{
		IOStreams: genericiooptions.NewTestIOStreamsDiscard(), Name: "kubectl watchhistory",
	})
	var b strings.Builder
	b.WriteString("# The kubectl plugin\n\nGenerated from the commands by `go test ./pkg/cli -run TestDocs -update`; " +
		"do not edit.\n")
	document(&b, root)
	b.WriteString("\n## Flags of every command\n")
	flags(&b, root.PersistentFlags())
	path := filepath.Join("..", "..", "docs", "cli.md")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != b.String() {
		t.Errorf("docs/cli.md differs from the help of the commands (error %v): "+
			"go test ./pkg/cli -run TestDocs -update rewrites it", err)
	}
}

// TestHelp_CompletionNamesProgram checks the command that completes the program
// without kubectl.
func TestHelp_CompletionNamesProgram(t *testing.T) {
	root := cli.New(cli.Environment{
		IOStreams: genericiooptions.NewTestIOStreamsDiscard(), Name: "kubectl watchhistory",
	})
	cmd, _, err := root.Find([]string{"completion"})
	if err != nil {
		t.Fatal(err)
	}
	if want := "\n  source <(kubectl-watchhistory completion bash)"; !strings.HasSuffix(cmd.Example, want) {
		t.Errorf("got the examples\n%s\nwant %q at their end", cmd.Example, want)
	}
}

// TestDocs_RuleForLeftovers uses the rule of docs/ci.md and of record's help
// for what a run created: the cluster itself creates a ConfigMap in each new
// namespace.
func TestDocs_RuleForLeftovers(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "ci.md"))
	if err != nil {
		t.Fatal(err)
	}
	help, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := regexp.MustCompile("an object is left that the run created \\| `(.*)` \\|").FindSubmatch(text)
	example := regexp.MustCompile(`--fail-on '(created && [^']*)'`).FindSubmatch(help)
	if documented == nil || example == nil {
		t.Fatal("got no rule for leftovers in docs/ci.md and docs/cli.md, want both")
	}
	r := newRecording(t)
	for _, name := range []string{"kube-root-ca.crt", "left"} {
		r.write(time.Minute, &history.Record{
			Ref: ref("", "configmaps", "e2e", name, "uid-"+name), Kind: "ConfigMap", Verb: history.Create,
			Object: fmt.Appendf(nil, `{"kind":"ConfigMap","metadata":{"name":%q}}`, name),
		})
	}
	for _, rule := range [][]byte{documented[1], example[1]} {
		var out strings.Builder
		code, errOut := run(t.Context(), r, &out, "get", "cm", "-n", "e2e", "--flat", "-o", "name",
			"--filename", r.export(t), "-q", string(rule))
		if got := out.String(); code != 0 || got != "configmap/left\n" {
			t.Errorf("%s: got exit code %d, %q and %q, want only configmap/left", rule, code, got, errOut)
		}
	}
}

// document writes the section of a command, and those of its subcommands.
func document(b *strings.Builder, cmd *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n", cmd.CommandPath(), firstOf(cmd.Long, cmd.Short))
	if cmd.Runnable() && cmd.HasParent() {
		fmt.Fprintf(b, "\n    %s\n", strings.TrimSuffix(cmd.UseLine(), " [flags]"))
	}
	if cmd.HasExample() {
		fmt.Fprintf(b, "\n```\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(cmd.Example, "  "), "\n  ", "\n"))
	}
	flags(b, cmd.LocalNonPersistentFlags())
	for _, sub := range cmd.Commands() {
		document(b, sub)
	}
}

// flags writes a table of flags.
func flags(b *strings.Builder, fs *pflag.FlagSet) {
	if !fs.HasAvailableFlags() {
		return
	}
	b.WriteString("\n| flag | default | meaning |\n| --- | --- | --- |\n")
	fs.VisitAll(func(f *pflag.Flag) {
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		value := ""
		if f.DefValue != "" && f.DefValue != "[]" {
			value = "`" + f.DefValue + "`"
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", name, value, strings.ReplaceAll(f.Usage, "|", "\\|"))
	})
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// TestScripts_UseEveryFlag fails if no script uses a flag of a command.
func TestScripts_UseEveryFlag(t *testing.T) {
	scripts := ""
	paths, err := filepath.Glob("testdata/script/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		scripts += string(data)
	}
	ofKubectl := map[string]bool{"template": true, "allow-missing-template-keys": true}
	root := cli.New(cli.Environment{
		IOStreams: genericiooptions.NewTestIOStreamsDiscard(), Name: "kubectl watchhistory",
	})
	for _, cmd := range root.Commands() {
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			long, short := regexp.MustCompile(`(?m)\s--`+f.Name+`[=\s]`), regexp.MustCompile(`(?m)\s-`+f.Shorthand+`\s`)
			used := long.MatchString(scripts) || f.Shorthand != "" && short.MatchString(scripts)
			if !used && !ofKubectl[f.Name] {
				t.Errorf("testdata/script: got no script that uses --%s of %s, want one", f.Name, cmd.CommandPath())
			}
		})
	}
}

// TestQueries_FieldsAreSetByCommands fails if no command sets a field of the
// client's queries and the field is not listed with a reason.
func TestQueries_FieldsAreSetByCommands(t *testing.T) {
	notSet := map[string]string{
		"Verbs": "a column of the timeline shows it", "Managers": "a column of the timeline shows it",
		"Group": "a type's name contains its group", "Namespaces": "kubectl has one namespace, or all",
		"Previous": "a report reads its diffs with it",
		"Reasons":  "--field-selector selects them", "EventTypes": "--field-selector selects them",
	}
	set := fieldsSet(t)
	for _, query := range []reflect.Type{
		reflect.TypeFor[client.EventsQuery](), reflect.TypeFor[client.ObjectQuery](),
		reflect.TypeFor[client.GapsQuery](),
	} {
		for field := range query.Fields() {
			if reason, excluded := notSet[field.Name]; set[field.Name] == excluded {
				t.Errorf("%s.%s: a command sets it: %t, excluded: %t (%s), want exactly one",
					query, field.Name, set[field.Name], excluded, reason)
			}
		}
	}
}

// fieldsSet returns the names of the fields that the package sets in literals
// of queries, or assigns to a variable q or to an element of a slice.
func fieldsSet(t *testing.T) map[string]bool {
	t.Helper()
	set := map[string]bool{}
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				for _, name := range queryFields(n) {
					set[name] = true
				}
			case *ast.AssignStmt:
				for _, left := range n.Lhs {
					if field, isField := left.(*ast.SelectorExpr); isField {
						_, isElement := field.X.(*ast.IndexExpr)
						set[field.Sel.Name] = set[field.Sel.Name] || isElement || fmt.Sprint(field.X) == "q"
					}
				}
			}
			return true
		})
	}
	return set
}

// queryFields returns the names of the fields in a literal of a client's query,
// or of a slice of queries.
func queryFields(literal *ast.CompositeLit) (names []string) {
	of, queries := literal.Type, []ast.Expr{literal}
	if slice, isSlice := of.(*ast.ArrayType); isSlice {
		of, queries = slice.Elt, literal.Elts
	}
	query, isQualified := of.(*ast.SelectorExpr)
	if !isQualified || fmt.Sprint(query.X) != "client" || !strings.HasSuffix(query.Sel.Name, "Query") {
		return nil
	}
	for _, q := range queries {
		if q, isLiteral := q.(*ast.CompositeLit); isLiteral {
			for _, element := range q.Elts {
				if pair, isKeyed := element.(*ast.KeyValueExpr); isKeyed {
					names = append(names, fmt.Sprint(pair.Key))
				}
			}
		}
	}
	return names
}
