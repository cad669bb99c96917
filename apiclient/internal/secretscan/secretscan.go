// Package secretscan finds secrets in foreign text that is to be logged, shown or recorded.
package secretscan

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// pieceLength is how many letters and digits of a secret in a row count as the secret. It looks for pieces: JSON, HTML and URLs write the
// characters between them differently, and an echo may be cut.
const pieceLength = 8

// shortest is how many bytes of a secret without such a piece are looked for as a whole. Shorter ones are in too many innocent texts.
const shortest = 4

// Scanner holds the pieces of some secrets.
type Scanner struct {
	pieces map[string]struct{}
	whole  []string // secrets that have no piece
}

// New returns a scanner for secrets.
func New(secrets ...string) Scanner {
	s := Scanner{pieces: map[string]struct{}{}}
	for _, secret := range secrets {
		before := len(s.pieces)
		for _, run := range strings.FieldsFunc(secret, func(r rune) bool {
			return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		}) {
			for i := range len(run) - pieceLength + 1 {
				s.pieces[run[i:i+pieceLength]] = struct{}{}
			}
		}
		if len(s.pieces) == before && len(secret) >= shortest {
			s.whole = append(s.whole, secret)
		}
	}
	return s
}

// In reports whether a text contains a piece of a secret.
func (s Scanner) In(text string) bool {
	for i := range len(text) - pieceLength + 1 {
		if _, found := s.pieces[text[i:i+pieceLength]]; found {
			return true
		}
	}
	return slices.ContainsFunc(s.whole, func(secret string) bool { return strings.Contains(text, secret) })
}

// InJSON reports whether a string in a JSON text contains a piece of a secret. It returns an error if the text is not JSON.
func (s Scanner) InJSON(text []byte) (found bool, err error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	if d.PeekKind() == 0 {
		return false, errors.New("no JSON value")
	}
	for {
		token, err := d.ReadToken()
		switch {
		case errors.Is(err, io.EOF):
			return found, nil
		case err != nil:
			return found, err
		}
		found = found || token.Kind() == '"' && s.In(token.String())
	}
}
