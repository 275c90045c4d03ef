package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxElements bounds each list of an answer. An element can take hundreds of times the memory of its encoding, so that the
// size of the answer alone does not bound the memory that it takes.
const maxElements = 1_000_000

// decoder reads one JSON value.
type decoder func(*json.Decoder) error

// value decodes a value of bounded size.
func value(into any) decoder {
	return func(dec *json.Decoder) error { return dec.Decode(into) }
}

// list appends the elements of an array, or nothing if it is null. Unless it is null, the result is not nil.
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

// object decodes the fields that are named, and skips all others.
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

// whole decodes a document that holds one value and nothing after it.
func whole(document io.Reader, read decoder) error {
	dec := json.NewDecoder(document)
	err := read(dec)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the answer")
	}
	return nil
}
