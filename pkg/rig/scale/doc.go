// Package scale measures the store: what it takes on disk and how fast it writes beside the layout that comes to mind first, and
// how much memory it takes and how fast it answers when there is much in it.
//
// It owns the measurements, which have a short form that is a part of the tests and a long one; docs/storage.md describes them.
// Sizes, memory and what is answered are judged, times are only reported: they depend on the machine.
package scale
