package apiclient

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// text is a string, or a number as it is written. Null, "null" and anything else is empty.
type text string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (t *text) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*t = ""
	if k := d.PeekKind(); k != '"' && k != '0' {
		return d.SkipValue()
	}
	token, err := d.ReadToken()
	if s := token.String(); err == nil && s != "null" {
		*t = text(s)
	}
	return err
}

// number returns the number that the text holds, NaN if it holds none.
func (t text) number() float64 {
	n, err := strconv.ParseFloat(strings.TrimSpace(string(t)), 64)
	if err != nil {
		return math.NaN()
	}
	return n
}

// count is a number above 0, also one written as a string. Anything else is 0.
type count int

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (c *count) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	var t text
	if err := t.UnmarshalJSONFrom(d); err != nil {
		return err
	}
	*c = 0
	if n := t.number(); n > 0 { // not if it is NaN
		*c = count(min(n, math.MaxInt32))
	}
	return nil
}

// flag is true or false, also as a string. Anything else is unset.
type flag int

const (
	flagUnset flag = iota
	flagFalse
	flagTrue
)

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (f *flag) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	word := ""
	switch d.PeekKind() {
	case 't', 'f':
		token, err := d.ReadToken()
		if err != nil {
			return err
		}
		word = token.String()
	default:
		var t text
		if err := t.UnmarshalJSONFrom(d); err != nil {
			return err
		}
		word = strings.ToLower(string(t))
	}
	*f = map[string]flag{"true": flagTrue, "false": flagFalse}[word]
	return nil
}

// span is where a value stands in the input. The value is neither copied nor decoded.
type span struct{ start, end int64 }

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (s *span) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	s.start = d.InputOffset()
	err := d.SkipValue()
	s.end = d.InputOffset()
	return err
}

// of returns the value, as it stands in the whole input; nil if there is none.
func (s span) of(input []byte) jsontext.Value {
	return bytes.TrimLeft(input[s.start:s.end], ": \t\r\n")
}
