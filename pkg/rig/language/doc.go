// Package language checks the English of comments and documentation.
//
// It owns three rules of style that a program can check. Comments in Go files
// are at most 80 columns wide, and code is at most 120. Comments, Markdown
// pages and texts of programs contain no phrase of [Phrases]: idioms that
// readers have to decode. Links to pages, headings and files of the repository
// have an existing target.
//
// The tests check the whole repository, including the other modules.
// Directories that do not follow the first two rules yet are listed in
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
