package simulator

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Playback answers as a recording says (apiclient.Recorder): a request for the same page of the same thing gets what it got, one
// answer after the other, and the last one for ever. It does not check signatures, for it knows no secret.
type Playback struct {
	Start    time.Time // of the recording
	Requests []Recorded

	mu      sync.Mutex
	answers map[recordedKey][]recordedAnswer
}

// Recorded is what a recorded request asked for.
type Recorded struct {
	Action, RegionID, InstanceID string // InstanceID is empty where it asked for all
}

type recordedKey struct {
	Recorded
	page, tag string // not the page's size: its number says enough
}

type recordedAnswer struct {
	status int
	header http.Header
	body   []byte
}

// NewPlayback reads a directory that a recorder wrote. It is an error if there is no recording, or a file that is none.
func NewPlayback(directory fs.FS) (*Playback, error) {
	files, err := fs.Glob(directory, "*.http") // in the order of time
	if err != nil {
		return nil, err
	}
	p := &Playback{answers: map[recordedKey][]recordedAnswer{}}
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
		return nil, fmt.Errorf("no recording (*.http) is there: %w", fs.ErrNotExist)
	}
	return p, nil
}

func (p *Playback) add(content []byte) error {
	r := bufio.NewReader(bytes.NewReader(content))
	request, err := http.ReadRequest(r)
	if err != nil {
		return err
	}
	answer, err := http.ReadResponse(r, request)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(answer.Body)
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
	k := keyOf(request, request.URL.Query())
	if len(p.answers[k]) == 0 {
		p.Requests = append(p.Requests, k.Recorded)
	}
	p.answers[k] = append(p.answers[k], recordedAnswer{answer.StatusCode, answer.Header, body})
	return nil
}

func keyOf(r *http.Request, query url.Values) recordedKey {
	return recordedKey{
		Recorded{r.Header.Get("x-acs-action"), query.Get("RegionId"), query.Get("InstanceId")}, query.Get("PageNumber"), query.Get("Tag"),
	}
}

// ServeHTTP implements http.Handler.
func (p *Playback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k := keyOf(r, r.URL.Query())
	p.mu.Lock()
	all := p.answers[k]
	if len(all) > 1 {
		p.answers[k] = all[1:]
	}
	p.mu.Unlock()
	if len(all) == 0 {
		gatewayError(w, http.StatusNotFound, "NotRecorded", "the recording has no answer to this")
		return
	}
	for name, values := range all[0].header {
		w.Header()[name] = values
	}
	w.WriteHeader(all[0].status)
	_, _ = w.Write(all[0].body)
}

// Instances are those whose backups were asked for one by one.
func (p *Playback) Instances() []Recorded { return p.asked("DescribeBackups", true) }

// Regions are those whose instances, or whose backups, were asked for at once.
func (p *Playback) Regions(action string) []Recorded { return p.asked(action, false) }

func (p *Playback) asked(action string, one bool) (all []Recorded) {
	for _, r := range p.Requests {
		if r.Action == action && (r.InstanceID != "") == one {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b Recorded) int {
		return cmp.Or(strings.Compare(a.RegionID, b.RegionID), strings.Compare(a.InstanceID, b.InstanceID))
	})
	return slices.Compact(all)
}
