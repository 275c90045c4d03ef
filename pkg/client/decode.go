package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxElements bounds each list of an answer. A decoded element can need
// hundreds of times the memory of its JSON, so a bound on the bytes is not
// enough.
const maxElements = 1_000_000

// decoder reads one JSON value.
type decoder func(*json.Decoder) error

// value decodes one value. Use it only for values whose size is bounded.
func value(into any) decoder {
	return func(dec *json.Decoder) error { return dec.Decode(into) }
}

// list appends the elements of an array, or nothing if the value is null. After
// an array, *into is not nil.
func list[T any](into *[]T) decoder {
	return func(dec *json.Decoder) error {
		switch open, err := dec.Token(); {
		case err != nil:
			return err
		case open == nil:
			return nil
		case open != json.Delim('['):
			return fmt.Errorf("a list begins with %v", open)
		}
		if *into == nil {
			*into = []T{}
		}
		for dec.More() {
			if len(*into) == maxElements {
				return fmt.Errorf("a list has more than %d elements", maxElements)
			}
			var element T
			if err := dec.Decode(&element); err != nil {
				return err
			}
			*into = append(*into, element)
		}
		_, err := dec.Token()
		return err
	}
}

// object decodes the fields that have a decoder, and skips all others.
func object(fields map[string]decoder) decoder {
	return func(dec *json.Decoder) error {
		switch open, err := dec.Token(); {
		case err != nil:
			return err
		case open != json.Delim('{'):
			return fmt.Errorf("an object begins with %v", open)
		}
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return err
			}
			read, known := fields[fmt.Sprint(name)]
			if !known {
				read = value(&json.RawMessage{})
			}
			if err := read(dec); err != nil {
				return err
			}
		}
		_, err := dec.Token()
		return err
	}
}

// document decodes a document that contains exactly one value.
func document(from io.Reader, read decoder) error {
	dec := json.NewDecoder(from)
	err := read(dec)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("data follows the answer")
	}
	return nil
}
