package diff

import (
	"slices"
	"strings"
)

// The bounds of how a value that only one side has is divided: into how many
// parts, and at which depth.
const (
	maxParts      = 32
	maxPartsDepth = 24
)

// parts adds the phrases for a change outside of the status. A value that only
// one side has is divided, if its parts say more: a map of labels, or a list of
// containers.
func (s *summarizer) parts(c Change) {
	if c.Kind == Added || c.Kind == Removed {
		if parts := partsOf(c); len(parts) > 0 {
			for _, part := range parts {
				s.parts(part)
			}
			return
		}
	}
	switch {
	case c.Noise():
	case len(c.Path) == 2 && isContent(c.Path[0].Field) && !c.Path[1].Item:
		s.content(c)
	case c.Path.Below("metadata"):
		s.add(metadataPhrase(c))
	default:
		s.add(specPhrase(c))
	}
}

// partsOf returns the changes that an added or removed value consists of, or
// none if it is not divided.
func partsOf(c Change) (parts []Change) {
	last := c.Path.last(0)
	if last.Item || !isDivided(last.Field) || len(c.Path) > maxPartsDepth {
		return nil
	}
	value := c.Old
	if c.Kind == Added {
		value = c.New
	}
	add := func(s Segment, value any) {
		part := Change{Path: append(slices.Clip(c.Path), s), Kind: c.Kind}
		if c.Kind == Added {
			part.New = value
		} else {
			part.Old = value
		}
		parts = append(parts, part)
	}
	switch value := value.(type) {
	case map[string]any:
		if len(value) <= maxParts {
			for _, field := range fields(value, nil) {
				add(Segment{Field: field}, value[field])
			}
		}
	case []any:
		if len(value) <= maxParts {
			k, keyed := commonKeys(value, nil)
			for i, item := range value {
				s := Segment{Item: true, Index: i}
				if keyed {
					s.Key = k.old[i]
				}
				add(s, item)
			}
		}
	}
	return parts
}

// isDivided reports whether a map or a list with this name is divided into its
// parts.
func isDivided(field string) bool {
	switch field {
	case "labels", "annotations", "selector", "matchLabels", "nodeSelector", "data", "stringData", "binaryData",
		"resources", "limits", "requests", "taints", "tolerations", "env", "envFrom", "volumes", "volumeMounts",
		"containers", "initContainers", "ephemeralContainers", "rules", "subjects", "ports", "tls", "hosts",
		"webhooks", "finalizers", "ownerReferences", "imagePullSecrets", "conditions":
		return true
	default:
		return false
	}
}

// metadataPhrase returns the phrase for a change in the metadata.
func metadataPhrase(c Change) phrase {
	p := phrase{rank: byMetadata, text: c.transition()}
	inMap := len(c.Path) == 3 && !c.Path[2].Item
	switch field := c.Path.last(0); {
	case c.Kind == Added && c.Path.is("metadata", "deletionTimestamp"):
		return phrase{rank: byDeletion, text: "deletion requested"}
	case c.Path.is("metadata", "deletionGracePeriodSeconds"):
		return phrase{rank: byAftermath, text: "grace period " + c.transition()}
	case c.isNewLeader():
		old, now := c.holders()
		return phrase{rank: byStatus, text: "leader " + scalar(old) + " → " + scalar(now)}
	case inMap && c.Path.is("metadata", "labels", "helm.sh/chart"):
		p.name = "chart"
	case inMap && c.Path.Below("metadata", "labels"):
		p.name = "label " + cut(line(field.Field), pathWidth)
	case inMap && c.Path.Below("metadata", "annotations"):
		p.name = "annotation " + cut(line(field.Field), pathWidth)
		if strings.HasPrefix(field.Field, "deployment.kubernetes.io/") { // copies of other fields
			p.rank = byAftermath
		}
	case c.Path.Below("metadata", "finalizers") && field.Item:
		p.name, p.text = itemFact(c, "finalizer")
	case c.Path.Below("metadata", "ownerReferences") && len(c.Path) == 3 && field.Item && c.Kind != Changed:
		owner := whole(c)
		kind, _ := owner["kind"].(string)
		p.name = "owner " + cut(line(strings.ToLower(kind)), valueWidth) + "/" + label(owner, "name")
		p.text = c.Kind.String()
	default:
		p.name = shortPath(c.Path)
	}
	return p
}

// specPhrase returns the phrase for a change outside of the metadata, the
// status and the data.
func specPhrase(c Change) phrase {
	p := c.Path
	if i := containerAt(p); i >= 0 {
		return containerPhrase(c, i)
	}
	if r, ok := resourcePhrase(c); ok {
		return r
	}
	switch last := p.last(0); {
	case p.is("spec", "replicas"):
		return phrase{rank: byScale, name: "replicas", text: c.transition()}
	case (p.is("spec", "paused") || p.is("spec", "suspend")) && c.New == true:
		return phrase{rank: byScale, depth: 1, text: strings.TrimSuffix(last.Field, "ed") + "ed"}
	case (p.is("spec", "paused") || p.is("spec", "suspend")) && c.Old == true:
		return phrase{rank: byScale, depth: 1, text: "resumed"}
	case p.is("spec", "unschedulable"):
		if c.New == true {
			return phrase{rank: byScheduling, text: "cordoned"}
		}
		return phrase{rank: byScheduling, text: "uncordoned"}
	case p.is("spec", "nodeName") && c.Kind == Added:
		return phrase{rank: byScheduling, text: "scheduled to " + scalar(c.New)}
	case p.Below("spec", "taints") && last.Item:
		name, text := itemFact(c, "taint")
		return phrase{rank: byScheduling, name: name, text: text}
	case p.Below("spec", "taints") && last.Field == "timeAdded":
		return phrase{rank: byAftermath, name: "taint timeAdded", text: c.transition()}
	case isTemplateMap(p):
		return templatePhrase(c)
	}
	return fieldPhrase(c)
}

// isTemplateMap reports whether the path leads to a label or an annotation of a
// template.
func isTemplateMap(p Path) bool {
	return len(p) > 3 && !p.last(0).Item && (p.last(1).Field == "labels" || p.last(1).Field == "annotations") &&
		p.last(2).Field == "metadata"
}

// templatePhrase returns the phrase for a label or an annotation of a template.
func templatePhrase(c Change) phrase {
	field := c.Path.last(0).Field
	switch {
	case field == "kubectl.kubernetes.io/restartedAt" && c.Kind != Removed:
		return phrase{rank: byRestart, text: "restarted"}
	case field == "helm.sh/chart":
		return phrase{rank: byMetadata, name: "chart", text: c.transition()}
	case strings.HasPrefix(field, "checksum/") && c.Kind == Changed: // Helm charts have these to restart pods
		return phrase{rank: byMetadata, name: fieldName(c.Path.last(0)), text: "changed"}
	}
	return phrase{
		rank: byMetadata, name: "pod " + singular(c.Path.last(1).Field) + " " + cut(line(field), pathWidth),
		text: c.transition(),
	}
}

// resourcePhrase returns the phrase for a limit or a request. ok is false for
// any other change.
func resourcePhrase(c Change) (p phrase, ok bool) {
	if len(c.Path) < 4 || c.Path.last(2).Field != "resources" || c.Path.last(0).Item {
		return phrase{}, false
	}
	kind := c.Path.last(1).Field
	if kind != "limits" && kind != "requests" {
		return phrase{}, false
	}
	return phrase{
		rank: byResources, name: fieldName(c.Path.last(0)) + " " + kind[:len(kind)-1], text: c.transition(),
	}, true
}

// containerAt returns the position of the list in a path that leads to a
// container or into one, or -1.
func containerAt(p Path) int {
	for i := range len(p) - 1 {
		if !p[i].Item && p[i+1].Item && p[i+1].Key != "" && strings.HasSuffix(p[i].Field, "ontainers") {
			return i
		}
	}
	return -1
}

// containerPhrase returns the phrase for a container, or for a field of it. Its
// list is at a position of the path.
func containerPhrase(c Change, list int) phrase {
	name := itemName(c.Path[list+1])
	p := phrase{rank: byPlain, depth: len(c.Path), container: name}
	rest := c.Path[list+2:]
	switch {
	case len(rest) == 0:
		kind := strings.TrimSuffix(strings.ToLower(singular(c.Path[list].Field)), "container") + " container "
		p.rank, p.container = rankOfItem(c), ""
		p.name, p.text = strings.TrimSpace(kind)+" "+name, c.Kind.String()
	case rest.is("image"):
		p.rank, p.name, p.text = byImage, "image "+name, images(c)
	case len(rest) > 1 && rest[0].Field == "env" && rest[1].Item && rest[1].Key != "":
		p.rank, p.depth = byEnv, 0
		p.name, p.text = envFact(c, rest)
	case strings.HasSuffix(rest[0].Field, "Probe"):
		p.name = cut(line(strings.TrimSuffix(rest[0].Field, "Probe")), valueWidth) + " probe"
		if len(rest) > 1 {
			p.name += " " + fieldName(rest.last(0))
		}
		p.text = c.transition()
	default:
		inside := c
		inside.Path = rest
		if r, ok := resourcePhrase(c); ok {
			p.rank, p.name, p.text = r.rank, r.name, r.text
			return p
		}
		f := fieldPhrase(inside)
		p.rank, p.subject, p.name, p.text, p.parent = max(f.rank, byRemoval), f.subject, f.name, f.text, f.parent
	}
	return p
}

// envFact returns the name and the text for a change of an environment
// variable. rest is the path from "env" on.
func envFact(c Change, rest Path) (name, text string) {
	name = itemName(rest[1])
	value, isText := whole(c)["value"].(string)
	switch {
	case len(rest) == 2 && c.Kind == Added && isText && !isHash(value) && len(value) <= valueWidth:
		return name + "=" + line(value), "added"
	case len(rest) == 2:
		return name, c.Kind.String()
	case rest[2:].is("value"):
		return name, c.transition()
	case rest[2:].is("valueFrom"):
		return name + " source", c.transition()
	default:
		return name + " " + leafName(rest[2:]), c.transition()
	}
}

// whole returns the value that was added or removed, or nil if it is not an
// object.
func whole(c Change) map[string]any {
	value := c.New
	if c.Kind == Removed {
		value = c.Old
	}
	object, _ := value.(map[string]any)
	return object
}

// isPort reports whether the change adds or removes a port that is identified
// by its number.
func isPort(c *Change) bool {
	last := c.Path.last(0)
	return last.Item && c.Kind != Changed &&
		(strings.HasPrefix(last.Key, "port=") || strings.HasPrefix(last.Key, "containerPort="))
}

// port adds the phrases for the change with an index, which adds or removes a
// port. If one port of a list was removed and one added, the port changed.
func (s *summarizer) port(i int) {
	c := &s.changes[i]
	list := c.Path[:len(c.Path)-1]
	inList := func(j int) bool {
		return j >= 0 && j < len(s.changes) && len(s.changes[j].Path) > len(list) &&
			slices.Equal(s.changes[j].Path[:len(list)], list)
	}
	first, last := i, i
	for i-first < few && inList(first-1) {
		first--
	}
	for last-i < few && inList(last+1) {
		last++
	}
	var added, removed []*Change
	for j := first; j <= last; j++ {
		switch of := &s.changes[j]; {
		case len(of.Path) != len(c.Path) || !isPort(of):
		case of.Kind == Added:
			added = append(added, of)
		default:
			removed = append(removed, of)
		}
	}
	switch {
	case len(added) != 1 || len(removed) != 1 || last-first >= few:
		s.add(specPhrase(*c))
	case c.Kind == Removed: // the addition is part of it
		for _, inside := range Objects(whole(*removed[0]), whole(*added[0])) {
			inside.Path = slices.Concat(added[0].Path, inside.Path)
			s.add(specPhrase(inside))
		}
	}
}
