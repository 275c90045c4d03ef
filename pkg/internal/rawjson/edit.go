package rawjson

// Edit replaces the bytes from Start up to End of a document by With.
type Edit struct {
	Start, End int
	With       []byte
}

// Cut returns the edit that removes the member or element from start to end of
// a valid document, together with one comma.
//
// Two neighbours must not be cut in one pass: both edits would remove the comma
// between them.
func Cut(data []byte, start, end int) Edit {
	// The comma after it, or the one before it if it is the last one.
	if next := space(data, end); next < len(data) && data[next] == ',' {
		return Edit{Start: start, End: space(data, next+1)}
	}
	before := start
	for before > 0 && space(data[before-1:before], 0) == 1 {
		before--
	}
	if before > 0 && data[before-1] == ',' {
		start = before - 1
	}
	return Edit{Start: start, End: end}
}

// Apply returns a new document with the edits made. They must be in the order
// of their offsets and must not overlap. If there are no edits, it returns data
// itself.
func Apply(data []byte, edits []Edit) []byte {
	if len(edits) == 0 {
		return data
	}
	size := len(data)
	for _, e := range edits {
		size += len(e.With) - (e.End - e.Start)
	}
	edited := make([]byte, 0, size)
	from := 0
	for _, e := range edits {
		edited = append(append(edited, data[from:e.Start]...), e.With...)
		from = e.End
	}
	return append(edited, data[from:]...)
}
