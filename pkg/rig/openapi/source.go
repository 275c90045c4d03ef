package openapi

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// source has the names and the comments of package v1.
type source struct {
	values   map[string]string // of constants, by name
	comments map[string]string // of constants, types and fields ("Event.UID"), by name
}

// readSource reads the directory of package v1.
func readSource(dir string) (*source, error) {
	s := &source{values: map[string]string{}, comments: map[string]string{}}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, decl := range file.Decls {
			if general, ok := decl.(*ast.GenDecl); ok {
				s.add(general)
			}
		}
	}
	if len(s.values) == 0 {
		return nil, fmt.Errorf("read %s: got no constants", dir)
	}
	return s, nil
}

// add adds the constants and types of a declaration.
func (s *source) add(decl *ast.GenDecl) {
	alone := decl.Doc
	if decl.Lparen.IsValid() {
		alone = nil // the comment of a group describes none of its members
	}
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.ValueSpec:
			for i, value := range spec.Values {
				if literal, ok := value.(*ast.BasicLit); ok {
					name := spec.Names[i].Name
					s.values[name] = text(literal)
					s.comments[name] = comment(spec.Doc, spec.Comment, alone)
				}
			}
		case *ast.TypeSpec:
			s.comments[spec.Name.Name] = comment(spec.Doc, nil, alone)
			if structure, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range structure.Fields.List {
					for _, name := range field.Names {
						s.comments[spec.Name.Name+"."+name.Name] = comment(field.Doc, field.Comment, nil)
					}
				}
			}
		}
	}
}

// text returns the value of a literal.
func text(literal *ast.BasicLit) string {
	value := constant.MakeFromLiteral(literal.Value, literal.Kind, 0)
	if value.Kind() == constant.String {
		return constant.StringVal(value)
	}
	return value.ExactString()
}

// comment returns the first comment that exists.
func comment(groups ...*ast.CommentGroup) string {
	for _, group := range groups {
		if group != nil {
			return group.Text()
		}
	}
	return ""
}

// constant returns the name of the constant with a value and a prefix or
// suffix, such as "Param" or "Header".
func (s *source) constant(affix, value string) string {
	for name, v := range s.values {
		if v == value && (strings.HasPrefix(name, affix) || strings.HasSuffix(name, affix)) {
			return name
		}
	}
	return ""
}

// describe returns the comment of a constant, a type or a field as a
// description: without its name at the beginning, and with the values of
// constants instead of their names. It is "" if there is no comment.
func (s *source) describe(name string) string {
	_, short, isField := strings.Cut(name, ".")
	if !isField {
		short = name
	}
	words := lines(s.comments[name])
	if rest, ok := strings.CutPrefix(words, short+" "); ok {
		words = rest
		for _, verb := range []string{"is ", "are ", "means that "} {
			if rest, ok := strings.CutPrefix(words, verb); ok {
				words = rest
				break
			}
		}
	}
	words = regexp.MustCompile(`\[([A-Z]\w*)\]`).ReplaceAllStringFunc(words, func(link string) string {
		target := strings.Trim(link, "[]")
		if value, known := s.values[target]; known {
			return value
		}
		return target
	})
	first, size := utf8.DecodeRuneInString(words)
	if size == 0 {
		return ""
	}
	words = string(unicode.ToUpper(first)) + words[size:]
	if strings.HasSuffix(words, ".") {
		return words
	}
	return words + "."
}

// lines joins the lines of a comment, except for the items of lists.
func lines(comment string) string {
	var b strings.Builder
	for line := range strings.Lines(comment) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
			continue
		case strings.HasPrefix(line, "- ") && b.Len() > 0:
			b.WriteByte('\n')
		case b.Len() > 0:
			b.WriteByte(' ')
		}
		b.WriteString(line)
	}
	return b.String()
}
