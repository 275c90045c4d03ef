// Package language checks the English of comments and documentation.
//
// It owns three rules of style that a program can check. Comments in Go files
// are at most 80 columns wide. Comments and Markdown pages contain none of the
// phrases in [Phrases], which are idioms that readers have to decode. Links to
// pages, headings and files of the repository lead somewhere.
//
// The tests walk the whole repository, the other modules included. Directories
// that do not follow the first two rules yet are listed in
// testdata/unconverted.txt. The list may only get shorter: the test fails for a
// listed directory without findings, and
//
//	go test ./pkg/rig/language -update
//
// removes it from the list.
//
// The package does not check grammar, sentence length or names. Only tests
// import it. It is internal to watchhistory: its API changes without notice.
package language
