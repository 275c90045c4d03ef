package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// ParseConfig returns the defaults overridden by a YAML document. It is strict: an unknown or repeated field, a value of
// the wrong form, a resource named twice or a rule that makes no sense is an [history.Invalid] error that gives the line
// and the field.
func ParseConfig(data []byte) (Config, error) {
	c := DefaultConfig()
	var listed, included []history.Resource
	var discover discoverFields
	rules := newRuleReader(&c.Rules)
	root, err := parseDocument(data)
	if err != nil || root == nil {
		return c, err
	}
	err = eachField(root, "", map[string]func(*yaml.Node) error{
		"discover":          discover.setMode,
		"discoverCRDs":      discover.setCRDs,
		"storagePath":       setString(&c.StoragePath, notEmpty),
		"retentionDays":     setInt(&c.RetentionDays, 1, 3650),
		"syncWrites":        setBool(&c.SyncWrites),
		"maxStorage":        setBytes(&c.MaxStorage, leastStorage),
		"bindAddress":       setString(&c.BindAddress, func(s string) error { _, err := parseAddress(s); return err }),
		"serverPort":        setInt(&c.ServerPort, 0, 65535),
		"maxQueryLimit":     setInt(&c.MaxQueryLimit, 1, 100_000),
		"resources":         setResources(&listed),
		"include":           setIncluded(&included),
		"secretAnnotations": rules.secretAnnotations,
		"redact":            func(node *yaml.Node) error { return eachItem(node, "redact", rules.redact) },
		"ignore":            func(node *yaml.Node) error { return eachItem(node, "ignore", rules.ignore) },
	})
	if err != nil {
		return Config{}, err
	}
	if listed != nil {
		c.Resources = listed
	}
	if err := discover.finish(&c, listed != nil); err != nil {
		return Config{}, err
	}
	c.include(included)
	if err := rules.finish(&c, listed, included); err != nil {
		return Config{}, err
	}
	return c, nil
}

// parseDocument returns the one document's root, or nil where there is none.
func parseDocument(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, history.Errorf(history.Invalid, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, history.Errorf(history.Invalid, "line %d: a second document: the configuration is one", second.Line)
	}
	root := resolve(doc.Content[0])
	if root.Tag == "!!null" {
		return nil, nil
	}
	return root, nil
}

// eachField calls the setter of every field of a mapping. at is the mapping's own path, for errors.
func eachField(node *yaml.Node, at string, setters map[string]func(*yaml.Node) error) error {
	if node.Kind != yaml.MappingNode {
		return mistake(node, at, "want a mapping of fields")
	}
	seen := map[string]bool{}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], resolve(node.Content[i+1])
		field := joinField(at, key.Value)
		set, known := setters[key.Value]
		switch {
		case !known:
			return mistake(key, field, "unknown field; known are "+strings.Join(slices.Sorted(maps.Keys(setters)), ", "))
		case seen[key.Value]:
			return mistake(key, field, "given twice")
		}
		seen[key.Value] = true
		if err := set(value); err != nil {
			if history.CodeOf(err) == history.Invalid {
				return err // a field within this one, which has said where
			}
			return mistake(value, field, err.Error())
		}
	}
	return nil
}

// eachItem calls read for every item of a list. at is the list's own path, for errors.
func eachItem(node *yaml.Node, at string, read func(item *yaml.Node, at string) error) error {
	if node.Kind != yaml.SequenceNode {
		return mistake(node, at, "want a list")
	}
	for i, item := range node.Content {
		if err := read(item, fmt.Sprintf("%s[%d]", at, i)); err != nil {
			return err
		}
	}
	return nil
}

func setResources(dst *[]history.Resource) func(*yaml.Node) error {
	return func(node *yaml.Node) error {
		*dst = []history.Resource{}
		lines := map[string]int{}
		return eachItem(node, "resources", func(item *yaml.Node, at string) error {
			r, err := parseResource(resolve(item), at)
			if err != nil {
				return err
			}
			id := r.GroupResource().String()
			if first, twice := lines[id]; twice {
				return mistake(item, at, fmt.Sprintf("%s stands on line %d already; a resource is recorded in one version", id, first))
			}
			lines[id] = item.Line
			*dst = append(*dst, r)
			return nil
		})
	}
}

func parseResource(node *yaml.Node, at string) (history.Resource, error) {
	var r history.Resource
	err := eachField(node, at, map[string]func(*yaml.Node) error{
		"group":      setString(&r.Group, optional(dnsSubdomain)),
		"version":    setString(&r.Version, dnsLabel),
		"kind":       setString(&r.Kind, notEmpty),
		"plural":     setString(&r.Plural, dnsLabel),
		"namespaced": setBool(&r.Namespaced),
	})
	switch {
	case err != nil:
		return r, err
	case r.Version == "":
		return r, mistake(node, at+".version", "missing")
	case r.Kind == "":
		return r, mistake(node, at+".kind", "missing")
	case r.Plural == "":
		return r, mistake(node, at+".plural", "missing")
	}
	return r, nil
}

func setBool(dst *bool) func(*yaml.Node) error {
	return func(node *yaml.Node) error {
		if node.Tag != "!!bool" {
			return fmt.Errorf("want true or false, got %q", node.Value)
		}
		return node.Decode(dst)
	}
}

func setInt(dst *int, least, most int) func(*yaml.Node) error {
	return func(node *yaml.Node) error {
		n, err := strconv.Atoi(node.Value)
		if node.Tag != "!!int" || err != nil || n < least || n > most {
			return fmt.Errorf("want a whole number from %d to %d, got %q", least, most, node.Value)
		}
		*dst = n
		return nil
	}
}

// leastStorage is what the database takes before there is anything in it, and a little history.
const leastStorage = 256 << 20

// setBytes reads a quantity of bytes as Kubernetes writes them.
func setBytes(dst *int64, least int64) func(*yaml.Node) error {
	return func(node *yaml.Node) error {
		q, err := resource.ParseQuantity(node.Value)
		if node.Kind != yaml.ScalarNode || err != nil || q.Sign() != 0 && q.Value() < least {
			return fmt.Errorf("want a quantity of bytes such as 40Gi, at least %s, or 0 for no limit, got %q",
				resource.NewQuantity(least, resource.BinarySI), node.Value)
		}
		*dst = q.Value()
		return nil
	}
}

func setString(dst *string, check func(string) error) func(*yaml.Node) error {
	return func(node *yaml.Node) error {
		if node.Tag != "!!str" {
			return fmt.Errorf("want text, got %q", node.Value)
		}
		*dst = node.Value
		return check(node.Value)
	}
}

func notEmpty(s string) error {
	if s == "" {
		return errors.New("is empty")
	}
	return nil
}

func optional(check func(string) error) func(string) error {
	return func(s string) error {
		if s == "" {
			return nil
		}
		return check(s)
	}
}

func dnsLabel(s string) error { return firstProblem(s, validation.IsDNS1035Label(s)) }

func dnsSubdomain(s string) error { return firstProblem(s, validation.IsDNS1123Subdomain(s)) }

func firstProblem(s string, problems []string) error {
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("%q: %s", s, problems[0])
}

func mistake(node *yaml.Node, field, what string) error {
	if field == "" {
		return history.Errorf(history.Invalid, "line %d: %s", node.Line, what)
	}
	return history.Errorf(history.Invalid, "line %d: %s: %s", node.Line, field, what)
}

func joinField(at, field string) string {
	if at == "" {
		return field
	}
	return at + "." + field
}

// resolve follows a YAML alias to what it stands for.
func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}
