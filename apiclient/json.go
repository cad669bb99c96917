package apiclient

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// decoder is a token stream over input, which it needs whole to hand out parts of it.
type decoder struct {
	*jsontext.Decoder
	input []byte
}

func newDecoder(input []byte) *decoder {
	// Names may hold bytes that are not UTF-8: they become U+FFFD.
	// Telling duplicate members apart would cost a map per object.
	return &decoder{
		jsontext.NewDecoder(bytes.NewBuffer(input), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)),
		input,
	}
}

// eachMember reads one object and calls member with each name; member reads the value.
func eachMember(d *decoder, member func(name string) error) error {
	return each(d, '{', '}', func() error {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		return member(name.String())
	})
}

// eachElement reads one array and calls element for each of its values; element reads it.
func eachElement(d *decoder, element func() error) error {
	return each(d, '[', ']', element)
}

func each(d *decoder, opening, closing jsontext.Kind, one func() error) error {
	if k := d.PeekKind(); k != opening && k != 0 { // 0: ReadToken says what is wrong
		return fmt.Errorf("%v where %v belongs, at byte %d", k, opening, d.InputOffset())
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != closing {
		if err := one(); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// text reads a string, or a number as it is written; null, "null" and anything else is empty.
func text(d *decoder) (string, error) {
	switch d.PeekKind() {
	case '"', '0':
		t, err := d.ReadToken()
		if s := t.String(); err == nil && s != "null" {
			return s, nil
		}
		return "", err
	default:
		return "", d.SkipValue()
	}
}

func set(d *decoder, to *string) (err error) {
	*to, err = text(d)
	return err
}

// number reads a number, also one written as a string; anything else is NaN.
func number(d *decoder) (float64, error) {
	s, err := text(d)
	if err != nil {
		return math.NaN(), err
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil {
		return math.NaN(), nil
	}
	return n, nil
}

// boolean reads true or false, also as a string; anything else is nil.
func boolean(d *decoder) (*bool, error) {
	if k := d.PeekKind(); k == 't' || k == 'f' {
		t, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		b := t.Bool()
		return &b, nil
	}
	s, err := text(d)
	if err != nil {
		return nil, err
	}
	switch strings.ToLower(s) {
	case "true", "false":
		b := strings.EqualFold(s, "true")
		return &b, nil
	default:
		return nil, nil
	}
}

// rawArray keeps an array as it stands in the input. Null and a string are no list.
func rawArray(d *decoder) (jsontext.Value, error) {
	if d.PeekKind() != '[' {
		return nil, d.SkipValue()
	}
	return d.raw()
}

// raw reads a value and returns it as it stands in the input.
func (d *decoder) raw() (jsontext.Value, error) {
	v, err := d.ReadValue() // valid until the next read only, unlike the input
	end := d.InputOffset()
	return d.input[end-int64(len(v)) : end], err
}
