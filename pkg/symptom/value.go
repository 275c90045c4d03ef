package symptom

import (
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// maxItems is the number of elements of a list that are read.
const maxItems = 1000

// value is a JSON value that is decoded when it is read, or nil. The methods
// return nothing if the value has another type.
type value []byte

// at returns the value at a path of fields.
func (v value) at(path ...string) value {
	for _, key := range path {
		v = v.member(key)
	}
	return v
}

// kind returns the kind of the value.
func (v value) kind() rawjson.Kind {
	scan := rawjson.ScanValid(v)
	return scan.Kind()
}

// isObject reports whether the value is an object.
func (v value) isObject() bool { return v.kind() == rawjson.Object }

// member returns the value of a field.
func (v value) member(name string) value {
	for key, member := range v.members() {
		if string(key) == name {
			return member
		}
	}
	return nil
}

// members yields the fields of an object, with their names.
func (v value) members() iter.Seq2[[]byte, value] {
	return func(yield func([]byte, value) bool) {
		scan := rawjson.ScanValid(v)
		if scan.Kind() != rawjson.Object {
			return
		}
		for _, key := range scan.Members() {
			if !yield(key, scan.Skip()) {
				return
			}
		}
	}
}

// elements yields the elements of a list.
func (v value) elements() iter.Seq[value] {
	return func(yield func(value) bool) {
		scan := rawjson.ScanValid(v)
		if scan.Kind() != rawjson.Array {
			return
		}
		n := 0
		for range scan.Elements() {
			if n++; n > maxItems || !yield(scan.Skip()) {
				return
			}
		}
	}
}

// text returns a string.
func (v value) text() string {
	scan := rawjson.ScanValid(v)
	if scan.Kind() != rawjson.String {
		return ""
	}
	return scan.Text()
}

// number returns a whole number, or 0.
func (v value) number() int {
	if v.kind() != rawjson.Number {
		return 0
	}
	n, err := strconv.Atoi(string(v))
	if err != nil {
		return 0
	}
	return n
}

// isTrue reports whether the value is true.
func (v value) isTrue() bool { return string(v) == "true" }

// time returns a time, or the zero time.
func (v value) time() time.Time {
	t, err := time.Parse(time.RFC3339, v.text())
	if err != nil {
		return time.Time{}
	}
	return t
}

// named returns the element of a list that has a name.
func (v value) named(name string) value {
	for item := range v.elements() {
		if item.at("name").text() == name {
			return item
		}
	}
	return nil
}

// The lengths, in characters, to which texts are cut.
const (
	maxText   = 200 // of a symptom
	maxDetail = 140 // of a message
	maxName   = 80  // of a name, such as a reason
)

// line returns a text in one line, with at most a number of characters.
func line(text string, width int) string {
	// Only the beginning can be part of the line.
	const bytes = 16 // of a character with spaces around it, or more
	if len(text) > width*bytes {
		text = text[:width*bytes]
	}
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\ufffd")), " ")
	characters := []rune(text)
	if len(characters) <= width {
		return text
	}
	return strings.TrimRight(string(characters[:width-1]), " ") + "…"
}

// join joins the texts that are not empty with colons.
func join(texts ...string) string {
	var all []string
	for _, text := range texts {
		if text != "" {
			all = append(all, text)
		}
	}
	return strings.Join(all, ": ")
}

// message returns the message of a status in one line, without a final stop.
func message(text string) string { return strings.TrimRight(line(text, maxDetail), ". ") }

// sentence returns the first sentence of a message.
func sentence(text string) string {
	first, _, _ := strings.Cut(text, ". ")
	return message(first)
}

// after returns the part of a text after the last of the separators that it
// contains, or the whole text.
func after(text string, separators ...string) string {
	for _, separator := range separators {
		if i := strings.LastIndex(text, separator); i >= 0 && i+len(separator) < len(text) {
			text = text[i+len(separator):]
		}
	}
	return text
}

// count returns a number with its noun: "1 pod", "2 pods".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
