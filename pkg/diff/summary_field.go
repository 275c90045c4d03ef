package diff

import (
	"encoding/json"
	"strings"
)

// fieldPhrase returns the phrase for a change that no other function describes:
// the name of the field or of the list item, and its values. Fields that say
// what runs, and how much of it, come before others.
func fieldPhrase(c Change) phrase {
	last := c.Path.last(0)
	p := phrase{rank: byPlain, depth: len(c.Path)}
	if last.Item {
		p.rank = rankOfItem(c)
		p.name, p.text = itemFact(c, singular(c.Path.last(1).Field))
		p.subject = enclosing(c.Path[:len(c.Path)-1], "")
		return p
	}
	leaf := leafName(c.Path)
	p.subject, p.name, p.text = enclosing(c.Path, leaf), leaf, c.transition()
	switch parent := c.Path.last(1); {
	case parent.Item && parent.Key != "" && leaf == "value" && p.subject != "":
		p.name = "" // as in env[name=A].value
	case !parent.Item && parent.Field != "" && parent.Field != "spec" && leaf == fieldName(last):
		p.parent = fieldName(parent)
	}
	switch last.Field {
	case "version", "tag", "targetRevision":
		p.rank, p.depth = byImage, 0
	case "image", "imageName":
		p.rank, p.depth, p.text = byImage, 0, images(c)
	case "size", "instances", "minReplicas", "maxReplicas":
		if len(c.Path) == 2 {
			p.rank, p.depth = byScale, 0
		}
	case "caBundle":
		p.text = c.Kind.String()
	}
	return p
}

// enclosing returns the list item that a path is inside of, as in "port http".
// It returns "" if there is none with a key. If the field has the name of the
// items, as in spec.ports[name=http].port, the item is left out.
func enclosing(p Path, leaf string) string {
	for i := len(p) - 2; i > 0; i-- {
		if !p[i].Item || p[i].Key == "" || p[i-1].Item {
			continue
		}
		list := fieldName(Segment{Field: singular(p[i-1].Field)})
		if list == leaf || leaf == "containerPort" {
			return ""
		}
		return strings.TrimSpace(list + " " + itemName(p[i]))
	}
	return ""
}

// leafName returns the name of the field that a path leads to. Names that say
// nothing alone are qualified with their parents.
func leafName(p Path) string {
	leaf, parent := fieldName(p.last(0)), p.last(1)
	if len(p) < 2 || parent.Item || parent.Field == "spec" {
		return leaf
	}
	switch parent.Field {
	case "selector", "nodeSelector", "labels", "annotations":
		return fieldName(parent) + " " + leaf
	case "matchLabels":
		return fieldName(p.last(2)) + " " + leaf
	}
	switch leaf {
	case "name", "value", "number", "secretName":
		if leaf == "number" && parent.Field == "port" && p.last(2).Field == "service" {
			return "backend port"
		}
		if leaf == "name" && parent.Field == "service" && p.last(2).Field == "backend" {
			return "backend"
		}
		return fieldName(parent)
	case "enabled", "enable", "key", "type", "kind", "namespace", "id", "mode", "path", "host", "port", "url", "count":
		return fieldName(parent) + "." + leaf
	default:
		return leaf
	}
}

// fieldName returns the name of a field in one line of a bounded length.
func fieldName(s Segment) string { return cut(line(s.Field), valueWidth) }

// rankOfItem returns the rank of a list item that was added or removed, or of a
// scalar in a list.
func rankOfItem(c Change) int {
	if c.Kind == Removed {
		return byRemoval
	}
	return byPlain
}

// itemFact returns the name and the text for an item of a list: "host
// a.example.com" and "removed". kind is what the list contains.
func itemFact(c Change, kind string) (name, text string) {
	kind = cut(line(kind), valueWidth)
	if c.Kind == Changed {
		return kind, c.transition()
	}
	value := c.New
	if c.Kind == Removed {
		value = c.Old
	}
	if isScalar(value) {
		return kind + " " + scalar(value), c.Kind.String()
	}
	if item, ok := value.(map[string]any); ok {
		kind, name = describe(item, kind, c.Path.last(0))
	}
	return strings.TrimSpace(kind + " " + name), c.Kind.String()
}

// describe returns what an item of a list is, and its name. kind is the name of
// the list in the singular.
func describe(item map[string]any, kind string, at Segment) (what, name string) {
	switch kind {
	case "taint", "toleration":
		return kind, taint(item)
	case "rule":
		if host := label(item, "host"); host != "" {
			return "host", host
		}
		if verbs := texts(item["verbs"]); verbs != "" {
			on := texts(item["resources"]) + texts(item["nonResourceURLs"])
			return kind, cut(strings.TrimSpace(verbs+" "+on), pathWidth)
		}
	case "TLS":
		return kind, texts(item["hosts"])
	case "subject":
		if subject := label(item, "kind"); subject != "" {
			name = label(item, "name")
			if namespace := label(item, "namespace"); namespace != "" {
				name = namespace + "/" + name
			}
			return subject, name
		}
	case "ingress rule":
		return kind, peers(item, "from")
	case "egress rule":
		return kind, peers(item, "to")
	case "from", "to":
		return kind, peers(map[string]any{kind: []any{item}}, kind)
	}
	if at.Key != "" {
		return kind, itemName(at)
	}
	for _, field := range []string{"name", "host", "path", "key", "id", "type", "cidr", "kind"} {
		if name = label(item, field); name != "" {
			return kind, name
		}
	}
	for _, field := range []string{"configMapRef", "secretRef"} { // of envFrom
		if from, ok := item[field].(map[string]any); ok {
			return kind, strings.TrimSuffix(field, "Ref") + " " + label(from, "name")
		}
	}
	return kind, ""
}

// label returns a text of an object in one line, or "".
func label(object map[string]any, field string) string {
	text, _ := object[field].(string)
	return cut(line(text), valueWidth)
}

// taint returns a taint or a toleration, as in "unreachable:NoExecute".
func taint(item map[string]any) string {
	key := label(item, "key")
	text := key[strings.LastIndexByte(key, '/')+1:]
	if value := label(item, "value"); value != "" {
		text += "=" + value
	}
	if effect := label(item, "effect"); effect != "" {
		text += ":" + effect
	}
	return cut(text, pathWidth)
}

// texts joins the scalars of a list.
func texts(list any) string {
	items, _ := list.([]any)
	var all []string
	for i, item := range items {
		if i == 8 {
			all = append(all, "…")
			break
		}
		if isScalar(item) {
			all = append(all, scalar(item))
		}
	}
	return cut(strings.Join(all, ","), valueWidth)
}

// peers returns the peers and the ports of a rule of a NetworkPolicy, as in
// "app=web 8080". direction is the field with the peers.
func peers(rule map[string]any, direction string) string {
	var all []string
	from, _ := rule[direction].([]any)
	for _, peer := range from[:min(len(from), 4)] {
		peer, _ := peer.(map[string]any)
		for _, selector := range []string{"namespaceSelector", "podSelector"} {
			of, _ := peer[selector].(map[string]any)
			labels, _ := of["matchLabels"].(map[string]any)
			for i, name := range fields(labels, nil) {
				if i < 4 && isScalar(labels[name]) {
					all = append(all, cut(line(name), valueWidth)+"="+scalar(labels[name]))
				}
			}
		}
		if block, ok := peer["ipBlock"].(map[string]any); ok {
			all = append(all, label(block, "cidr"))
		}
	}
	ports, _ := rule["ports"].([]any)
	for _, port := range ports[:min(len(ports), 4)] {
		port, _ := port.(map[string]any)
		if number, ok := port["port"]; ok && isScalar(number) {
			all = append(all, scalar(number))
		}
	}
	return cut(strings.Join(all, " "), pathWidth)
}

// singular returns the name of one item of a list.
func singular(list string) string {
	switch list {
	case "ingress", "egress":
		return list + " rule"
	case "tls":
		return "TLS"
	case "volumeMounts":
		return "mount"
	case "envFrom", "status":
		return list
	}
	for _, ending := range [][2]string{{"ies", "y"}, {"sses", "ss"}, {"ss", "ss"}, {"us", "us"}, {"s", ""}} {
		if stem, ok := strings.CutSuffix(list, ending[0]); ok && stem != "" {
			return stem + ending[1]
		}
	}
	return list
}

// isCount reports whether the old or the new value is a number.
func isCount(c Change) bool {
	for _, value := range []any{c.Old, c.New} {
		switch value.(type) {
		case float64, int64, int, json.Number:
			return true
		}
	}
	return false
}

// shortPath shortens a path of more than five steps in its middle, and writes
// keys without their fields: spec.template…containers[app].image.
func shortPath(p Path) string {
	plain := make(Path, len(p))
	for i, s := range p {
		plain[i] = s
		if s.Item && s.Key != "" {
			plain[i].Key = s.name()
		}
	}
	text := plain.String()
	if len(p) > 5 {
		tail := plain[len(p)-3:]
		if tail[0].Item { // a key without its list would be ambiguous
			tail = plain[len(p)-4:]
		}
		text = plain[:2].String() + "…" + tail.String()
	}
	return middle(line(text), pathWidth)
}

// middle shortens a text in its middle to at most width runes.
func middle(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	half := (width - 1) / 2
	return string(runes[:half]) + "…" + string(runes[len(runes)-half:])
}

// images returns the transition of an image. It contains only the tags if the
// repository is the same.
func images(c Change) string {
	old, okOld := c.Old.(string)
	new, okNew := c.New.(string)
	if c.Kind != Changed || !okOld || !okNew {
		return c.transition()
	}
	oldName, oldTag := splitImage(old)
	newName, newTag := splitImage(new)
	if oldName == newName && oldTag != "" && newTag != "" {
		c.Old, c.New = oldTag, newTag
	}
	return c.transition()
}

// splitImage splits an image into its name, and its tag or the beginning of its
// digest.
func splitImage(image string) (name, tag string) {
	if name, digest, ok := strings.Cut(image, "@"); ok {
		return name, cut(digest, len("sha256:")+12)
	}
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		return image[:i], image[i+1:]
	}
	return image, ""
}
