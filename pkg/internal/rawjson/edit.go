package rawjson

// Edit replaces the bytes from Start up to End of a document by With.
type Edit struct {
	Start, End int
	With       []byte
}

// Cut returns the edit that removes the member or element from start to end of a valid document, together with the comma
// that it leaves over. It stands alone in its container or next to members that stay: cutting two neighbours would
// take the comma between them twice.
func Cut(data []byte, start, end int) Edit {
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

// Apply returns a new document with the edits made, which have to be in order and must not overlap. Without edits it
// returns data itself.
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
