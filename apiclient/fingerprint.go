package apiclient

import (
	"bytes"
	"errors"
	"hash/maphash"
)

// ErrUnchanged ends a list whose only answer has the fingerprint that the caller knows.
var ErrUnchanged = errors.New("the list has not changed")

// Fingerprint tells the answers that one client gets apart, so that one that has not changed need not be decoded again. The zero value is
// no fingerprint and equals no other.
type Fingerprint struct {
	bytes int
	hash  uint64
}

// fingerprint returns the fingerprint of a body without its RequestId, which differs each time: without the text of its first member of
// that name. Wherever that stands, nothing that counts depends on it. It returns none if the body has no such member.
func fingerprint(seed maphash.Seed, body []byte) Fingerprint {
	before, after, _ := bytes.Cut(body, []byte(`"RequestId"`))
	value, isMember := bytes.CutPrefix(bytes.TrimLeft(after, " \t\r\n"), []byte(":"))
	value, isText := bytes.CutPrefix(bytes.TrimLeft(value, " \t\r\n"), []byte(`"`))
	end := bytes.IndexAny(value, `"\`)
	if !isMember || !isText || end < 0 || value[end] == '\\' {
		return Fingerprint{}
	}
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.Write(before)
	_, _ = h.Write(value[end:])
	return Fingerprint{len(before) + len(value) - end, h.Sum64()}
}
