package recording

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// Playback answers as a recording says: a request for the same page gets the recorded answers, one after another, and then always the
// last. If no answer came, it resets the connection. The access key id tells whose request it is. Signatures are not checked: no secret
// is recorded.
type Playback struct {
	Start time.Time // of the recording

	asked   []Recorded
	mu      sync.Mutex
	answers map[recordedKey][]*recordedAnswer
}

// Recorded is what a recorded request asked for.
type Recorded struct {
	Action, RegionID string
	Account          string // escaped as in a query
	InstanceID       string // empty if it asked for all
	Tag              string // a JSON list, as the API takes it
}

type recordedKey struct {
	Recorded
	operationType string // of ListOperationHistory
	page          string // its number; the size says no more
}

type recordedAnswer struct { // nil if none came
	status int
	header http.Header
	body   []byte
}

// NewPlayback reads a directory that a recorder wrote. It returns an error if there is no recording, or if a file is not part of one.
func NewPlayback(directory fs.FS) (*Playback, error) {
	files, err := fs.Glob(directory, "*.http") // in the order of time
	if err != nil {
		return nil, err
	}
	p := &Playback{answers: map[recordedKey][]*recordedAnswer{}}
	for _, name := range files {
		content, err := fs.ReadFile(directory, name)
		if err != nil {
			return nil, err
		}
		if err := p.add(content); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no recording (*.http) found: %w", fs.ErrNotExist)
	}
	slices.SortFunc(p.asked, func(a, b Recorded) int {
		return cmp.Or(
			cmp.Compare(a.Action, b.Action), cmp.Compare(a.Account, b.Account), cmp.Compare(a.RegionID, b.RegionID),
			cmp.Compare(a.InstanceID, b.InstanceID), cmp.Compare(a.Tag, b.Tag),
		)
	})
	p.asked = slices.Compact(p.asked)
	return p, nil
}

func (p *Playback) add(content []byte) error {
	r := bufio.NewReader(bytes.NewReader(content))
	request, err := http.ReadRequest(r)
	if err != nil {
		return err
	}
	at, err := http.ParseTime(request.Header.Get("Date"))
	if err != nil {
		return err
	}
	if p.Start.IsZero() || at.Before(p.Start) {
		p.Start = at
	}
	answer, err := readAnswer(r, request)
	if err != nil {
		return err
	}
	k := keyOf(request, request.URL.Query(), request.Header.Get("X-Account"))
	p.asked = append(p.asked, k.Recorded)
	p.answers[k] = append(p.answers[k], answer)
	return nil
}

func readAnswer(r *bufio.Reader, request *http.Request) (*recordedAnswer, error) {
	if _, err := r.Peek(1); errors.Is(err, io.EOF) {
		return nil, nil
	}
	answer, err := http.ReadResponse(r, request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return &recordedAnswer{answer.StatusCode, answer.Header, body}, err
}

func keyOf(r *http.Request, query url.Values, account string) recordedKey {
	return recordedKey{
		Recorded{
			r.Header.Get("x-acs-action"),
			query.Get("RegionId"),
			account,
			query.Get("InstanceId"),
			query.Get("Tag"),
		}, query.Get("OperationType"), query.Get("PageNumber"),
	}
}

// ServeHTTP implements http.Handler.
func (p *Playback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	account := accessKeyID(r)
	k := keyOf(r, r.URL.Query(), account)
	p.mu.Lock()
	all := p.answers[k]
	if len(all) > 1 {
		p.answers[k] = all[1:]
	}
	p.mu.Unlock()
	switch {
	case len(all) == 0:
		simulator.GatewayError(http.StatusNotFound, "NotRecorded", "the recording has no answer to this")(w, r, 0)
	case all[0] == nil:
		simulator.Reset()(w, r, 0)
	default:
		maps.Copy(w.Header(), all[0].header)
		w.WriteHeader(all[0].status)
		_, _ = w.Write(all[0].body)
	}
}

// Instances returns the instances whose backups were requested on their own.
func (p *Playback) Instances() []Recorded { return p.askedFor("DescribeBackups", true) }

// Regions returns the regions whose instances or backups were requested as a whole.
func (p *Playback) Regions(action string) []Recorded { return p.askedFor(action, false) }

// Has reports whether an operation was requested at all.
func (p *Playback) Has(action string) bool {
	return slices.ContainsFunc(p.asked, func(r Recorded) bool { return r.Action == action })
}

func (p *Playback) askedFor(action string, one bool) (all []Recorded) {
	for _, r := range p.asked {
		if r.Action == action && (r.InstanceID != "") == one {
			all = append(all, r)
		}
	}
	return all
}

// accessKeyID returns the id that a request was signed with.
func accessKeyID(r *http.Request) string {
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	id, _, _ := strings.Cut(credential, ",")
	return id
}
