package collector

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/go-kit/log/level"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
)

// truth is what can be said of an instance in one word, worst first.
type truth int

const (
	bad truth = iota
	unknown
	healthy
)

func (t truth) String() string { return [...]string{"bad", "unknown", "healthy"}[t] }

func (r *InstanceResult) truth() truth {
	if r.Health == nil {
		return unknown
	}
	if len(r.Health.holding()) > 0 {
		return bad
	}
	return healthy
}

// Page serves the fleet to a person: the last collection, or one of its own if there was none.
type Page struct {
	handler     *Handler
	metricsPath string
	version     string
	template    *template.Template
	policy      string
}

// NewPage returns the page of the fleet that h scrapes.
func NewPage(h *Handler, metricsPath, version string) *Page {
	sum := sha256.Sum256([]byte(pageCSS))
	return &Page{
		handler: h, metricsPath: strings.TrimPrefix(metricsPath, "/"), version: version,
		template: template.Must(template.New("page").Parse(pageHTML)),
		policy: "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-" +
			base64.StdEncoding.EncodeToString(sum[:]) + "'",
	}
}

type pageData struct {
	Version, MetricsPath  string
	Style                 template.CSS
	Collected, Ago        string
	Bad, Unknown, Healthy int
	Warnings              []string
	Instances             []pageRow
}

type pageRow struct {
	Name, InstanceID, RegionID, Truth       string
	Conditions                              []Condition
	Status, LastSuccess, Age, MaxAge, Until string
	Deadline                                string // where a schedule counts
	AgeSeconds, MaxAgeSeconds               float64
	Restorable                              int
	Read, Late                              bool
	LastRead, Error                         string
}

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	result := p.handler.scraper.Last()
	if result == nil {
		result = p.handler.Scrape(r)
	}
	limitWriting(w)
	now := p.handler.scraper.now()
	data := pageData{
		Version: p.version, MetricsPath: p.metricsPath, Style: template.CSS(pageCSS), //nolint:gosec // our own file
		Collected: clock(result.At), Ago: roughly(now.Sub(result.At)), Warnings: result.warnings(),
	}
	for _, one := range result.worstFirst() {
		switch one.truth() {
		case bad:
			data.Bad++
		case unknown:
			data.Unknown++
		default:
			data.Healthy++
		}
		data.Instances = append(data.Instances, newPageRow(one))
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", p.policy)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if err := p.template.Execute(w, data); err != nil {
		level.Debug(p.handler.logger).Log("msg", "serving the page", "err", err) // the client went away
	}
}

// warnings are what is wrong with the reading itself, in words.
func (r *Result) warnings() (all []string) {
	for _, b := range r.Budgets {
		if r.TooLong(b) {
			all = append(all, fmt.Sprintf("There is too little time: the %d requests for %s (account %s) take %s at the exporter's own limit, and this scrape had %s. "+
				"Some instances time out, others at each scrape. What helps: %s.", b.Requests, b.RegionID, b.Account, roughly(b.Time), roughly(r.Deadline), tooLongHint))
		}
	}
	for _, d := range r.Discoveries {
		if d.ReadsEach {
			all = append(all, fmt.Sprintf("The backups of %s (account %s) cannot be listed at once: each instance is read on its own for now. The log says why.", d.RegionID, d.Account))
		}
		where := fmt.Sprintf("The instances of %s (account %s)", d.RegionID, d.Account)
		switch {
		case d.LastSuccess.IsZero() && d.Err == nil:
			all = append(all, where+" could not be listed yet: those that are only to be found there are not watched.")
		case d.LastSuccess.IsZero():
			all = append(all, fmt.Sprintf("%s could not be listed yet: those that are only to be found there are not watched. %v", where, d.Err))
		case d.Err != nil:
			all = append(all, fmt.Sprintf("%s cannot be listed, those known are kept. %v", where, d.Err))
		}
	}
	return all
}

func newPageRow(r *InstanceResult) pageRow {
	row := pageRow{
		InstanceID: r.Instance.InstanceID, RegionID: r.Instance.RegionID, Truth: r.truth().String(), Read: r.Health != nil,
		LastRead: clock(r.Totals.LastRead),
	}
	if maxAge := time.Duration(r.Instance.MaxAge); maxAge > 0 {
		row.MaxAge, row.MaxAgeSeconds = roughly(maxAge), maxAge.Seconds()
	}
	if r.Err != nil {
		row.Error = r.Err.Error()
	}
	h := r.Health
	if h == nil {
		return row
	}
	row.Conditions = h.holding()
	if h.Snapshot != nil {
		row.Name = h.Snapshot.InstanceName
	}
	row.Status, row.Restorable, row.Until = string(h.LastStatus), h.Restorable, clock(h.RestorableUntil)
	if h.Restorable > 0 && h.RestorableUntil.IsZero() {
		row.Until = "for ever"
	}
	if !h.LastSuccess.IsZero() {
		age := h.At.Sub(h.LastSuccess)
		row.LastSuccess, row.Age, row.AgeSeconds = clock(h.LastSuccess), roughly(age), age.Seconds()
		row.Late = h.Conditions[Overdue]
		if r.Instance.Timetable() != nil {
			row.Deadline = clock(h.Deadline)
		}
	}
	return row
}

func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

// roughly gives a duration in its two largest units.
func roughly(d time.Duration) string {
	d = max(0, d)
	days, hours, minutes, seconds := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case days > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%d min %d s", minutes, seconds)
	default:
		return fmt.Sprintf("%d s", seconds)
	}
}
