package watchproto

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Page is what a list's page says besides its items.
type Page struct {
	RV       string `json:"resourceVersion"`
	Continue string `json:"continue"` // the next page's token; "" on the last page
	// Remaining is how many objects follow this page, as far as the server says.
	Remaining int64 `json:"remainingItemCount"`
}

// ReadPage reads one page of a list and calls each with the JSON of every item as
// it arrives; each owns the bytes. It fails if a single value exceeds limit
// bytes, give or take the decoder's buffer. If each returns an error, ReadPage
// stops and returns that error. The page is complete only if ReadPage returns no
// error.
func ReadPage(r io.Reader, limit int64, each func(item []byte) error) (Page, error) {
	b := &boundedReader{Reader: r, limit: limit}
	p := pageReader{dec: json.NewDecoder(b), each: each}
	b.used = p.dec.InputOffset
	if err := p.read(); err != nil {
		return Page{}, err
	}
	if p.page.RV == "" {
		return Page{}, errors.New("list without a resourceVersion")
	}
	if !p.listed { // what is no list must not pass for an empty one
		return Page{}, errors.New("list without items")
	}
	return p.page, nil
}

// boundedReader fails if the decoder reads more than limit bytes ahead, which
// bounds the memory of a single value.
type boundedReader struct {
	io.Reader

	limit, got int64
	used       func() int64 // how much of it is decoded
}

// Read implements [io.Reader].
func (b *boundedReader) Read(p []byte) (int, error) {
	if b.got-b.used() > b.limit {
		return 0, fmt.Errorf("a value is longer than %d MiB", b.limit>>20)
	}
	n, err := b.Reader.Read(p)
	b.got += int64(n)
	return n, err //nolint:wrapcheck // it stands for the reader
}

type pageReader struct {
	dec  *json.Decoder
	each func([]byte) error
	page Page

	listed bool // there were items, perhaps none
}

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

func (p *pageReader) value(key json.Token) error {
	var skipped json.RawMessage
	var err error
	switch key {
	case "items":
		p.listed = true
		return p.items()
	case "metadata":
		err = p.dec.Decode(&p.page)
	default:
		err = p.dec.Decode(&skipped)
	}
	if err != nil {
		return fmt.Errorf("list's %v: %w", key, err)
	}
	return nil
}

func (p *pageReader) items() error {
	open, err := p.dec.Token()
	if err != nil {
		return fmt.Errorf("list's items: %w", err)
	}
	if open == nil { // "items":null is an empty list
		return nil
	}
	if open != json.Delim('[') {
		return fmt.Errorf("list's items begin with %v", open)
	}
	for p.dec.More() {
		var item json.RawMessage
		if err := p.dec.Decode(&item); err != nil {
			return fmt.Errorf("list's items: %w", err)
		}
		if err := p.each(item); err != nil {
			return err
		}
	}
	return p.expect(json.Delim(']'))
}

func (p *pageReader) expect(want json.Delim) error {
	got, err := p.dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if got != want {
		return fmt.Errorf("list: %v stands where %v belongs", got, want)
	}
	return nil
}
