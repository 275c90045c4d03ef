package daemon

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
	"github.com/watchhistory/watchhistory/pkg/selector"
	"github.com/watchhistory/watchhistory/pkg/symptom"
)

// The tags of YAML values without an explicit tag.
const (
	boolTag = "!!bool"
	intTag  = "!!int"
	nullTag = "!!null"
	strTag  = "!!str"
)

// valueError reports a value that is not allowed. Its node has the position of
// the value; [layout] adds the line and the path of the field.
type valueError struct {
	node *yaml.Node
	text string
}

// Error implements error.
func (e *valueError) Error() string { return e.text }

// valueErrorf returns a [valueError] with a formatted text.
func valueErrorf(node *yaml.Node, format string, args ...any) error {
	return &valueError{node: node, text: fmt.Sprintf(format, args...)}
}

// decodeText decodes a string that check accepts. Numbers and booleans are
// rejected: yaml would convert them, and 1.10 would become another text.
func decodeText[T ~string](node *yaml.Node, dst *T, check func(string) error) error {
	if node.Tag != strTag {
		return valueErrorf(node, "want text, got %q", node.Value)
	}
	if err := check(node.Value); err != nil {
		return valueErrorf(node, "%v", err)
	}
	*dst = T(node.Value)
	return nil
}

// decodeInt decodes a decimal number within a range.
func decodeInt[T ~int](node *yaml.Node, dst *T, least, most int) error {
	n, err := strconv.Atoi(node.Value)
	if node.Tag != intTag || err != nil || n < least || n > most {
		return valueErrorf(node, "want a whole number from %d to %d, got %q", least, most, node.Value)
	}
	*dst = T(n)
	return nil
}

// The types of single values. Each rejects invalid values when it is decoded.
type (
	boolean         bool
	text            string // not empty
	retentionDays   int
	queryLimit      int
	concurrency     int // of queries
	timeoutSeconds  int
	queryRate       int // queries per second; 0 means no limit
	connectionLimit int
	streamLimit     int
	port            int
	storageLimit    int64  // bytes
	ipAddress       string // of any interface of this machine
	apiGroup        string // "" is the core group
	dnsLabel        string
	namespaceName   string
	namespaceScope  string // a namespace, or "-" for cluster-scoped objects
	hostName        string
	annotationKey   string // of a Secret's annotation whose value is stored
	ignoredPath     string // of a field whose changes are ignored

	regularExpression string
	symptomCode       string
	symptomText       string // in one line
	celExpression     string // about one version
)

// UnmarshalYAML implements [yaml.Unmarshaler].
func (b *boolean) UnmarshalYAML(node *yaml.Node) error {
	if node.Tag != boolTag {
		return valueErrorf(node, "want true or false, got %q", node.Value)
	}
	return node.Decode((*bool)(b))
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (s *text) UnmarshalYAML(node *yaml.Node) error { return decodeText(node, s, notEmpty) }

// UnmarshalYAML implements [yaml.Unmarshaler].
func (d *retentionDays) UnmarshalYAML(node *yaml.Node) error { return decodeInt(node, d, 1, 3650) }

// UnmarshalYAML implements [yaml.Unmarshaler].
func (l *queryLimit) UnmarshalYAML(node *yaml.Node) error { return decodeInt(node, l, 1, 100_000) }

// UnmarshalYAML implements [yaml.Unmarshaler].
func (c *concurrency) UnmarshalYAML(node *yaml.Node) error { return decodeInt(node, c, 2, 256) }

// UnmarshalYAML implements [yaml.Unmarshaler].
func (t *timeoutSeconds) UnmarshalYAML(node *yaml.Node) error { return decodeInt(node, t, 1, 3600) }

// UnmarshalYAML implements [yaml.Unmarshaler].
func (r *queryRate) UnmarshalYAML(node *yaml.Node) error { return decodeInt(node, r, 0, 100_000) }

// UnmarshalYAML implements [yaml.Unmarshaler].
func (l *connectionLimit) UnmarshalYAML(node *yaml.Node) error { return decodeInt(node, l, 16, 65_536) }

// UnmarshalYAML implements [yaml.Unmarshaler].
func (l *streamLimit) UnmarshalYAML(node *yaml.Node) error { return decodeInt(node, l, 1, 65_536) }

// UnmarshalYAML implements [yaml.Unmarshaler].
func (p *port) UnmarshalYAML(node *yaml.Node) error { return decodeInt(node, p, NoPort, maxPort) }

// minStorage is the smallest limit, in bytes. It holds an empty database and a
// little history.
const minStorage = 256 << 20

// UnmarshalYAML implements [yaml.Unmarshaler]. It reads a quantity as
// Kubernetes writes them.
func (l *storageLimit) UnmarshalYAML(node *yaml.Node) error {
	q, err := resource.ParseQuantity(node.Value)
	if node.Kind != yaml.ScalarNode || err != nil || q.Sign() != 0 && q.Value() < minStorage {
		return valueErrorf(node, "want a quantity of bytes such as 40Gi, at least %s, or 0 for no limit, got %q",
			resource.NewQuantity(minStorage, resource.BinarySI), node.Value)
	}
	*l = storageLimit(q.Value())
	return nil
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (a *ipAddress) UnmarshalYAML(node *yaml.Node) error {
	return decodeText(node, a, func(s string) error { _, err := parseAddress(s); return err })
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (g *apiGroup) UnmarshalYAML(node *yaml.Node) error {
	return decodeText(node, g, func(s string) error {
		if s == "" {
			return nil
		}
		return firstProblem(s, validation.IsDNS1123Subdomain(s))
	})
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (l *dnsLabel) UnmarshalYAML(node *yaml.Node) error {
	return decodeText(node, l, func(s string) error { return firstProblem(s, validation.IsDNS1035Label(s)) })
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (n *namespaceName) UnmarshalYAML(node *yaml.Node) error {
	return decodeText(node, n, func(s string) error { return firstProblem(s, validation.IsDNS1123Label(s)) })
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (n *namespaceScope) UnmarshalYAML(node *yaml.Node) error {
	return decodeText(node, n, func(s string) error {
		if s == history.ClusterScoped.String() {
			return nil
		}
		return firstProblem(s, validation.IsDNS1123Label(s))
	})
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (n *hostName) UnmarshalYAML(node *yaml.Node) error {
	return decodeText(node, n, func(s string) error { return firstProblem(s, validation.IsDNS1123Subdomain(s)) })
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (k *annotationKey) UnmarshalYAML(node *yaml.Node) error {
	return decodeText(node, k, recorder.CheckSecretAnnotation)
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (p *ignoredPath) UnmarshalYAML(node *yaml.Node) error {
	return decodeText(node, p, recorder.CheckIgnorePath)
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (r *regularExpression) UnmarshalYAML(node *yaml.Node) error {
	return decodeText(node, r, func(s string) error {
		if err := notEmpty(s); err != nil {
			return err
		}
		_, err := regexp.Compile(s)
		return err
	})
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (c *symptomCode) UnmarshalYAML(node *yaml.Node) error {
	return decodeText(node, c, symptom.CheckCode)
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (t *symptomText) UnmarshalYAML(node *yaml.Node) error {
	return decodeText(node, t, func(s string) error { return errors.Join(notEmpty(s), symptom.CheckText(s)) })
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (e *celExpression) UnmarshalYAML(node *yaml.Node) error {
	return decodeText(node, e, func(s string) error {
		if err := notEmpty(s); err != nil {
			return err
		}
		_, err := selector.Compile(s)
		return err
	})
}

// groupResource is a resource in the form plural or plural.group.
type groupResource schema.GroupResource

// UnmarshalYAML implements [yaml.Unmarshaler].
func (r *groupResource) UnmarshalYAML(node *yaml.Node) error {
	var name string
	if err := decodeText(node, &name, notEmpty); err != nil {
		return err
	}
	plural, group, qualified := strings.Cut(name, ".")
	if len(validation.IsDNS1035Label(plural)) > 0 || qualified && len(validation.IsDNS1123Subdomain(group)) > 0 {
		return valueErrorf(node, "want a plural, or plural.group, got %q", name)
	}
	*r = groupResource{Group: group, Resource: plural}
	return nil
}

// String returns the form that the resource is written in.
func (r groupResource) String() string { return schema.GroupResource(r).String() }

const maxPort = 65535

// parsePort parses a port of the environment. [port] parses one of a file.
func parsePort(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < NoPort || n > maxPort {
		return 0, fmt.Errorf("want a port from 0 (any free one) to %d, or %d for none, got %q", maxPort, NoPort, s)
	}
	return n, nil
}

// parseAddress checks an IP address, which it returns unchanged.
func parseAddress(s string) (string, error) {
	if net.ParseIP(s) == nil {
		return "", fmt.Errorf("want an IP address such as 127.0.0.1 or 0.0.0.0, got %q", s)
	}
	return s, nil
}

// notEmpty rejects an empty text.
func notEmpty(s string) error {
	if s == "" {
		return errors.New("is empty")
	}
	return nil
}

// firstProblem returns the first of the problems that a Kubernetes validation
// has with s, or nil.
func firstProblem(s string, problems []string) error {
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("%q: %s", s, problems[0])
}

// toStrings converts a list of checked values. A nil list stays nil.
func toStrings[T ~string](values []T) []string {
	if values == nil {
		return nil
	}
	all := make([]string, 0, len(values))
	for _, v := range values {
		all = append(all, string(v))
	}
	return all
}
