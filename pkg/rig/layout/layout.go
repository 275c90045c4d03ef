package layout

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

const (
	module = "github.com/watchhistory/watchhistory"
	// internalSentence begins the sentence by which a package is closed.
	internalSentence = "It is internal to watchhistory"
)

// A Package is the output of `go list -json` for a package.
type Package struct {
	ImportPath string
	Name       string
	Dir        string
	GoFiles    []string
	Imports    []string // without those of tests
}

// IsPublic reports whether other projects may import the package.
func IsPublic(importPath string) bool {
	for _, public := range []string{"pkg/client", "pkg/api/v1", "pkg/history"} {
		if under(importPath, module+"/"+public) && !isClosed(importPath) {
			return true
		}
	}
	return false
}

// isClosed reports whether Go refuses imports of the package from elsewhere.
func isClosed(importPath string) bool {
	return slices.Contains(strings.Split(importPath, "/"), "internal")
}

func isOurs(importPath string) bool { return under(importPath, module) }

// under reports whether a path is a directory or lies in it.
func under(importPath, dir string) bool {
	return importPath == dir || strings.HasPrefix(importPath, dir+"/")
}

// CheckImports returns the imports of a package that break the layout.
func CheckImports(p Package) (problems []string) {
	rig := module + "/pkg/rig"
	for _, imported := range p.Imports {
		if under(imported, rig) && !under(p.ImportPath, rig) {
			problems = append(problems, fmt.Sprintf("%s imports %s: only tests import rigs", p.ImportPath, imported))
		}
		if IsPublic(p.ImportPath) && isOurs(imported) && !IsPublic(imported) && !isClosed(imported) {
			problems = append(problems,
				fmt.Sprintf("%s imports %s: a public package imports public packages only", p.ImportPath, imported))
		}
	}
	return problems
}

// CheckDoc returns a problem if a package is not public and its comment does
// not call it internal. doc is the whole package comment. Programs cannot be
// imported.
func CheckDoc(p Package, doc string) (problems []string) {
	if !under(p.ImportPath, module+"/pkg") || IsPublic(p.ImportPath) || isClosed(p.ImportPath) || p.Name == "main" {
		return nil
	}
	if !strings.Contains(strings.Join(strings.Fields(doc), " "), internalSentence) {
		problems = append(problems,
			fmt.Sprintf("%s: the package comment has no sentence %q", p.ImportPath, internalSentence+" …"))
	}
	return problems
}

// CheckAPI returns the exported declarations of a public package's file that
// name a package of this module which is not public.
func CheckAPI(importPath, fileName string, src []byte) ([]string, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, fileName, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	closed, err := closedImports(file)
	if err != nil {
		return nil, err
	}
	var problems []string
	for _, decl := range file.Decls {
		for _, node := range exportedParts(decl) {
			ast.Inspect(node, func(n ast.Node) bool {
				selector, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if name, ok := selector.X.(*ast.Ident); ok && closed[name.Name] != "" {
					problems = append(problems, fmt.Sprintf("%s: the API of %s names %s, which is not public",
						set.Position(n.Pos()), importPath, closed[name.Name]))
				}
				return true
			})
		}
	}
	return problems, nil
}

// closedImports maps the names of a file's imports of our closed packages to
// their paths.
func closedImports(file *ast.File) (map[string]string, error) {
	closed := map[string]string{}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if !isOurs(imported) || IsPublic(imported) {
			continue
		}
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		closed[name] = imported
	}
	return closed, nil
}

// exportedParts returns the parts of a declaration that importers can see.
func exportedParts(decl ast.Decl) (parts []ast.Node) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && exportedReceiver(d) {
			parts = append(parts, d.Type)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			parts = append(parts, exportedSpec(spec)...)
		}
	}
	return parts
}

func exportedSpec(spec ast.Spec) (parts []ast.Node) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if !s.Name.IsExported() {
			return nil
		}
		if s.TypeParams != nil {
			parts = append(parts, s.TypeParams)
		}
		return append(parts, exportedType(s.Type)...)
	case *ast.ValueSpec:
		if s.Type != nil && slices.ContainsFunc(s.Names, (*ast.Ident).IsExported) {
			parts = append(parts, s.Type)
		}
	}
	return parts
}

// exportedType leaves out the unexported fields of a struct.
func exportedType(t ast.Expr) (parts []ast.Node) {
	structure, ok := t.(*ast.StructType)
	if !ok {
		return []ast.Node{t}
	}
	for _, field := range structure.Fields.List {
		embedded := len(field.Names) == 0
		if embedded || slices.ContainsFunc(field.Names, (*ast.Ident).IsExported) {
			parts = append(parts, field.Type)
		}
	}
	return parts
}

// exportedReceiver reports whether a function has no receiver, or one of an
// exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}
