package watchproto

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Page is the metadata of a page of a list.
type Page struct {
	RV       string `json:"resourceVersion"`
	Continue string `json:"continue"` // the token of the next page; "" on the last page
	// Remaining is the number of objects after this page, or zero if the server
	// does not return it.
	Remaining int64 `json:"remainingItemCount"`
}

// ReadPage reads one page of a list. It calls each with the JSON of every item
// as the item arrives, and each owns the bytes. If each returns an error,
// ReadPage stops and returns that error. The page is complete only if ReadPage
// returns no error.
//
// A value that is longer than limit bytes, plus about the decoder's buffer, is
// an error.
func ReadPage(r io.Reader, limit int64, each func(item []byte) error) (Page, error) {
	b := &boundedReader{Reader: r, limit: limit}
	p := pageReader{dec: json.NewDecoder(b), each: each}
	b.used = p.dec.InputOffset
	if err := p.read(); err != nil {
		return Page{}, err
	}
	if p.page.RV == "" {
		return Page{}, errors.New("list has no resourceVersion")
	}
	if !p.hasItems { // another object must not count as an empty list
		return Page{}, errors.New("list has no items")
	}
	return p.page, nil
}

// boundedReader fails if the decoder reads more than limit bytes ahead, which
// bounds the memory of a single value.
type boundedReader struct {
	io.Reader

	limit, got int64
	used       func() int64 // the number of bytes that are decoded
}

// Read implements [io.Reader].
func (b *boundedReader) Read(p []byte) (int, error) {
	if b.got-b.used() > b.limit {
		return 0, fmt.Errorf("a value is longer than %d MiB", b.limit>>20)
	}
	n, err := b.Reader.Read(p)
	b.got += int64(n)
	return n, err //nolint:wrapcheck // the error is the reader's
}

// pageReader reads one page, token by token.
type pageReader struct {
	dec  *json.Decoder
	each func([]byte) error
	page Page

	hasItems bool // there was an items member, perhaps empty
}

// read reads the list object with all its members.
func (p *pageReader) read() error {
	if err := p.expect(json.Delim('{')); err != nil {
		return err
	}
	for p.dec.More() {
		key, err := p.dec.Token()
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		if err := p.value(key); err != nil {
			return err
		}
	}
	return p.expect(json.Delim('}'))
}

// value reads a member of the list.
func (p *pageReader) value(key json.Token) error {
	var skipped json.RawMessage
	var err error
	switch key {
	case "items":
		p.hasItems = true
		return p.items()
	case "metadata":
		err = p.dec.Decode(&p.page)
	default:
		err = p.dec.Decode(&skipped)
	}
	if err != nil {
		return fmt.Errorf("list: decode %v: %w", key, err)
	}
	return nil
}

// items reads the items and calls each.
func (p *pageReader) items() error {
	open, err := p.dec.Token()
	if err != nil {
		return fmt.Errorf("list: decode items: %w", err)
	}
	if open == nil { // "items":null is an empty list
		return nil
	}
	if open != json.Delim('[') {
		return fmt.Errorf("list: items begin with %v, want [", open)
	}
	for p.dec.More() {
		var item json.RawMessage
		if err := p.dec.Decode(&item); err != nil {
			return fmt.Errorf("list: decode items: %w", err)
		}
		if err := p.each(item); err != nil {
			return err
		}
	}
	return p.expect(json.Delim(']'))
}

// expect reads a delimiter. The end of the input is always unexpected.
func (p *pageReader) expect(want json.Delim) error {
	got, err := p.dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if got != want {
		return fmt.Errorf("list: got %v, want %v", got, want)
	}
	return nil
}
