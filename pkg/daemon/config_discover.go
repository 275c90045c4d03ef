package daemon

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// The values of the field discover: what is recorded beside what is named.
const (
	discoverAll  = "all"
	discoverCRDs = "crds"
	discoverNone = "none"
)

// discoverFields reads the fields discover and discoverCRDs. The latter is the older
// one, and stays what it was: a file that names its resources, or switches the
// CRDs off, and does not say more, records those and nothing else.
type discoverFields struct {
	mode     string
	modeNode *yaml.Node // nil: not given

	crds     bool
	crdsNode *yaml.Node // nil: not given
}

func (d *discoverFields) setMode(node *yaml.Node) error {
	d.modeNode = node
	if node.Tag != "!!str" || !slices.Contains([]string{discoverAll, discoverCRDs, discoverNone}, node.Value) {
		return fmt.Errorf("want %s, %s or %s, got %q", discoverAll, discoverCRDs, discoverNone, node.Value)
	}
	d.mode = node.Value
	return nil
}

func (d *discoverFields) setCRDs(node *yaml.Node) error {
	d.crdsNode = node
	return setBool(&d.crds)(node)
}

// finish sets what the configuration discovers. listed says that the file names
// its resources.
func (d *discoverFields) finish(c *Config, listed bool) error {
	switch {
	case d.modeNode == nil && d.crdsNode == nil:
		c.DiscoverAll = !listed
	case d.modeNode == nil:
		c.DiscoverCRDs, c.DiscoverAll = d.crds, d.crds && !listed
	case d.crdsNode != nil && d.crds != (d.mode != discoverNone):
		return mistake(d.modeNode, "discover", fmt.Sprintf("%s contradicts discoverCRDs on line %d", d.mode, d.crdsNode.Line))
	default:
		c.DiscoverCRDs, c.DiscoverAll = d.mode != discoverNone, d.mode == discoverAll
	}
	return nil
}

// setIncluded reads resources that are recorded beside all others, each as a
// plural, or a plural with its group.
func setIncluded(dst *[]history.Resource) func(*yaml.Node) error {
	return func(node *yaml.Node) error {
		lines := map[schema.GroupResource]int{}
		return eachItem(node, "include", func(item *yaml.Node, at string) error {
			name := text{node: item, field: at}
			if err := setString(&name.value, notEmpty)(resolve(item)); err != nil {
				return name.mistake(err.Error())
			}
			r, err := parseGroupResource(name)
			if err != nil {
				return err
			}
			if first, twice := lines[r]; twice {
				return name.mistake(fmt.Sprintf("%s stands on line %d already", r, first))
			}
			lines[r] = item.Line
			*dst = append(*dst, history.Resource{Group: r.Group, Plural: r.Resource})
			return nil
		})
	}
}

// include adds resources that are not named yet. The server says in which
// version, and of which kind they are.
func (c *Config) include(resources []history.Resource) {
	for _, r := range resources {
		if !c.lists(r.GroupResource()) {
			c.Resources = append(c.Resources, r)
		}
	}
}
