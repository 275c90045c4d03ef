package scale_test

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// table is rows of cells. The first row has the headings.
type table [][]string

// add adds a row: its name, and then a format and a value for each cell.
func (t *table) add(name string, cells ...any) {
	row := []string{name}
	for i := 0; i < len(cells); i += 2 {
		row = append(row, fmt.Sprintf(cells[i].(string), cells[i+1]))
	}
	*t = append(*t, row)
}

// String returns the table as aligned text.
func (t table) String() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w)
	for _, row := range t {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush()
	return text.String()
}
