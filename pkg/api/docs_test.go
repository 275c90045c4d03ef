package api_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// TestDocs_DescribeTheAPI fails if docs/api.md lacks a parameter, a header or a
// field of package v1.
func TestDocs_DescribeTheAPI(t *testing.T) {
	data, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	neverSent := "sourceIPs"
	for name, value := range constants(t, "v1/api.go") {
		where := page
		if strings.HasPrefix(name, "Param") {
			where = parameterTables(page)
		} else if !strings.HasSuffix(name, "Header") {
			continue
		}
		if !describes(where, value) {
			t.Errorf("docs/api.md: got no `%s` (v1.%s), want its description", value, name)
		}
	}
	for _, answer := range []reflect.Type{
		reflect.TypeFor[v1.Event](), reflect.TypeFor[v1.ObjectHistory](),
		reflect.TypeFor[v1.Gap](), reflect.TypeFor[v1.Resource](), reflect.TypeFor[v1.StreamItem](),
		reflect.TypeFor[v1.Comparison](), reflect.TypeFor[v1.Difference](), reflect.TypeFor[v1.Change](),
		reflect.TypeFor[v1.Catalogue](), reflect.TypeFor[v1.Document](), reflect.TypeFor[v1.DocumentVersion](),
		reflect.TypeFor[v1.UnreadDocument](), reflect.TypeFor[v1.CatalogueGap](), reflect.TypeFor[v1.DocumentHistory](),
		reflect.TypeFor[v1.Recorder](),
	} {
		for field := range answer.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name != "" && name != neverSent && !describes(page, name) && !strings.Contains(page, `"`+name+`"`) {
				t.Errorf("docs/api.md: got no `%s` (%s.%s), want its description", name, answer, field.Name)
			}
		}
	}
}

// parameterTables returns the rows of the tables of parameters. Events have
// fields with the same names.
func parameterTables(page string) (rows string) {
	inTable := false
	for line := range strings.Lines(page) {
		inTable = strings.HasPrefix(line, "|") && (inTable || strings.HasPrefix(line, "| parameter |"))
		if inTable {
			rows += line
		}
	}
	return rows
}

// describes reports whether a page has a word in code style, alone or with a
// value.
func describes(page, word string) bool {
	for _, text := range []string{"`" + word + "`", "`" + word + "=", "`" + word + ": "} {
		if strings.Contains(page, text) {
			return true
		}
	}
	return false
}

// constants returns the names and values of the text constants of a file.
func constants(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, isValue := n.(*ast.ValueSpec)
		if !isValue {
			return true
		}
		for i, value := range spec.Values {
			if literal, isLiteral := value.(*ast.BasicLit); isLiteral && literal.Kind == token.STRING {
				if found[spec.Names[i].Name], err = strconv.Unquote(literal.Value); err != nil {
					t.Fatal(err)
				}
			}
		}
		return false
	})
	if len(found) < 30 {
		t.Fatalf("%s: got %d constants, want at least 30", path, len(found))
	}
	return found
}
