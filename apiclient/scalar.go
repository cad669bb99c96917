package apiclient

import (
	"math"
	"strconv"
	"strings"
	"time"

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

// moment is a time: a number or a string with seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by magnitude, or
// a string as RFC 3339 has it, with or without seconds. Absent, null, empty and blank values mean no time, and so
// does any time up to 1970-01-01T00:00:00Z.
type moment struct {
	time       time.Time
	unreadable bool // present, but not a time
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (m *moment) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	t, unreadable, err := readScalar(d)
	*m = moment{unreadable: unreadable}
	if t == "" || err != nil {
		return err
	}
	n := t.number()
	if math.IsNaN(n) {
		// RFC 3339 permits small letters, and a space instead of the T.
		written := strings.Replace(strings.ToUpper(string(t)), " ", "T", 1)
		for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
			if at, err := time.Parse(layout, written); err == nil {
				if at.Unix() > 0 { // some write 1970-01-01T00:00:00Z for no time
					m.time = time.Unix(min(at.Unix(), year10000-1), int64(at.Nanosecond())).UTC() // JSON has no later time
				}
				return nil
			}
		}
	}
	m.time = epoch(n)
	m.unreadable = m.time.IsZero() && !(n <= 0)
	return nil
}

const year9999, year10000 = 253370764800, 253402300800 // their beginnings, in seconds

// epoch reads a time by its magnitude. It is zero for 0 and less, for NaN, and beyond the year 9999. The year 9999 means never, even in
// seconds: read as milliseconds, it would be in 1978.
func epoch(n float64) time.Time {
	for _, unit := range []struct{ from, perMilli float64 }{
		{3e17, 1e6}, {3e14, 1e3}, {year10000, 1}, {year9999, 1e-3}, {1e11, 1}, {0, 1e-3},
	} {
		if n > 0 && n >= unit.from {
			if milli := n / unit.perMilli; milli < year10000*1e3 {
				return time.UnixMilli(int64(milli)).UTC()
			}
			break
		}
	}
	return time.Time{}
}

// gib is a size in GiB. Absent, null, empty, blank and negative values are no size.
type gib struct {
	size       float64
	known      bool
	unreadable bool // present, but not a size
}

const (
	bytesPerGiB = 1 << 30
	largestSize = 1 << 40 // GiB: a zebibyte
)

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (g *gib) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	t, unreadable, err := readScalar(d)
	*g = gib{unreadable: unreadable}
	if t == "" || err != nil {
		return err
	}
	g.size = t.number()
	g.known = g.size >= 0 && g.size <= largestSize
	g.unreadable = !g.known && !(g.size < 0)
	return nil
}

// bytes returns the size in bytes, NaN if there is none.
func (g gib) bytes() float64 {
	if !g.known {
		return math.NaN()
	}
	return g.size * bytesPerGiB
}

// readScalar reads a string or a number, without the spaces around it. It reports a value of another kind, except null, as unreadable.
func readScalar(d *jsontext.Decoder) (t text, unreadable bool, err error) {
	k := d.PeekKind()
	err = t.UnmarshalJSONFrom(d)
	return text(strings.TrimSpace(string(t))), k != '"' && k != '0' && k != 'n', err
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
	value, err := d.ReadValue() // SkipValue takes twice as long
	s.end = d.InputOffset()
	s.start = s.end - int64(len(value))
	return err
}

// of returns the value, as it stands in the whole input; empty if there is none.
func (s span) of(input []byte) jsontext.Value { return input[s.start:s.end] }
