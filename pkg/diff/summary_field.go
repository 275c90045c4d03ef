package diff

import (
	"encoding/json"
	"strings"
)

// fallback returns the phrase for a change that no other function describes:
// its path and its values.
func fallback(c Change) phrase {
	text := shortPath(c.Path) + " " + c.transition()
	switch {
	case c.Path.Below("metadata", "labels") && len(c.Path) == 3:
		return phrase{rank: byMetadata, text: "label " + mapEntry(c)}
	case c.Path.Below("metadata", "annotations") && len(c.Path) == 3:
		return phrase{rank: byMetadata, text: "annotation " + mapEntry(c)}
	case c.Path.Below("metadata"):
		return phrase{rank: byMetadata, text: text}
	case c.Path.Below("status") && c.Kind != Reordered && isCount(c):
		return phrase{rank: byCounts, text: text}
	case c.Path.Below("status"):
		return phrase{rank: byStatus, text: text}
	default:
		return phrase{rank: byPlain, text: text}
	}
}

// mapEntry returns "key old → new" for a label or an annotation.
func mapEntry(c Change) string {
	return cut(line(c.Path[2].Field), pathWidth) + " " + c.transition()
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
