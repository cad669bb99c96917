package apiclient

import (
	"errors"
	"io"
	"strings"
)

// echo finds in foreign text what must not be repeated: each piece of so many letters and digits of a secret. Pieces, for what is
// around them is written differently in JSON, HTML and URLs, and an echo may be cut.
type echo map[string]struct{}

const echoLength = 8

const leftOut = "(left out)"

func newEcho(secrets ...string) echo {
	e := echo{}
	for _, s := range secrets {
		for _, run := range strings.FieldsFunc(s, func(r rune) bool {
			return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		}) {
			for i := range len(run) - echoLength + 1 {
				e[run[i:i+echoLength]] = struct{}{}
			}
		}
	}
	return e
}

func (e echo) in(text string) bool {
	for i := range len(text) - echoLength + 1 {
		if _, found := e[text[i:i+echoLength]]; found {
			return true
		}
	}
	return false
}

// inJSON looks into every string. It is an error if the text is not JSON.
func (e echo) inJSON(text []byte) (found bool, err error) {
	d := newDecoder(text)
	if d.PeekKind() == 0 {
		return false, errors.New("no value")
	}
	for {
		token, err := d.ReadToken()
		switch {
		case errors.Is(err, io.EOF):
			return found, nil
		case err != nil:
			return found, err
		}
		found = found || token.Kind() == '"' && e.in(token.String())
	}
}

// hide leaves out what echoes a secret.
func (e echo) hide(failure *Error) {
	for _, s := range []*string{&failure.Code, &failure.Message, &failure.RequestID, &failure.Action} {
		if e.in(*s) {
			*s = leftOut
		}
	}
}
