package sample

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"iter"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// recorded is written by TestRecorded_NamesNoMachine -record. It has a line for
// each watch event: the resource, a tab, and the line of the watch.
//
//go:embed recorded.zst
var recorded []byte

// maxLine limits the length of a line, in bytes.
const maxLine = 1 << 20

// Recorded returns the watch events that the API server of a dev cluster
// served, in order.
func Recorded() iter.Seq2[WatchEvent, error] {
	return func(yield func(WatchEvent, error) bool) {
		unzipped, err := zstd.NewReader(bytes.NewReader(recorded), zstd.WithDecoderConcurrency(1))
		if err != nil {
			yield(WatchEvent{}, err)
			return
		}
		defer unzipped.Close()
		lines := bufio.NewScanner(unzipped)
		lines.Buffer(nil, maxLine)
		for lines.Scan() {
			if f, err := parseLine(lines.Bytes()); !yield(f, err) || err != nil {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(WatchEvent{}, fmt.Errorf("read recorded watch events: %w", err))
		}
	}
}

// parseLine parses one line of recorded.
func parseLine(line []byte) (WatchEvent, error) {
	name, watched, _ := bytes.Cut(line, []byte("\t"))
	part := strings.Split(string(name), "/")
	if len(part) != 4 {
		return WatchEvent{}, fmt.Errorf("read recorded watch events: bad resource %q", name)
	}
	f := WatchEvent{Resource: resource(part[0], part[1], part[2], part[3])}
	var event struct {
		Type   string
		Object json.RawMessage
	}
	if err := json.Unmarshal(watched, &event); err != nil {
		return WatchEvent{}, fmt.Errorf("read recorded watch event of %s: %w", name, err)
	}
	f.Object = event.Object
	for _, t := range []history.WatchEventType{history.Added, history.Modified, history.Deleted} {
		if t.String() == event.Type {
			f.Type = t
			return f, nil
		}
	}
	return WatchEvent{}, fmt.Errorf("read recorded watch events: unknown type %q", event.Type)
}
