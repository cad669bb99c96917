package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"starrocks_backup_exporter/collector/fleet"
	"starrocks_backup_exporter/collector/health"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
)

// Page serves the fleet to a person: the last collection, or one of its own if there was none.
type Page struct {
	last     func() *fleet.Result
	scrape   func(*http.Request) *fleet.Result
	now      func() time.Time
	links    Links
	logger   log.Logger
	template *template.Template
	policy   string
}

// Links is what the page refers to.
type Links struct{ MetricsPath, Version string }

// NewPage returns the page of the fleet. last returns the newest result, nil if there is none; scrape makes one.
func NewPage(
	last func() *fleet.Result, scrape func(*http.Request) *fleet.Result, now func() time.Time, links Links, logger log.Logger,
) *Page {
	sum := sha256.Sum256([]byte(pageCSS))
	links.MetricsPath = strings.TrimPrefix(links.MetricsPath, "/")
	return &Page{
		last: last, scrape: scrape, now: now, links: links, logger: logger,
		template: template.Must(template.New("page").Parse(pageHTML)),
		policy: "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-" +
			base64.StdEncoding.EncodeToString(sum[:]) + "'",
	}
}

type pageData struct {
	Links

	Style                       template.CSS
	Collected, Ago              string
	Unhealthy, Unknown, Healthy int
	Warnings                    []string
	Instances                   []pageRow
}

type pageRow struct {
	Name, InstanceID, RegionID, State       string
	Conditions                              []health.Condition
	Status, LastSuccess, Age, MaxAge, Until string
	Deadline                                string // if a schedule counts
	AgeSeconds, MaxAgeSeconds               float64
	Restorable                              int
	Read, Late                              bool
	LastRead, Error                         string
}

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	result := p.last()
	if result == nil {
		result = p.scrape(r)
	}
	data := pageData{
		Links: p.links, Style: template.CSS(pageCSS), //nolint:gosec // our own file
		Collected: clock(result.At), Ago: roughly(p.now().Sub(result.At)), Warnings: warnings(result),
	}
	for _, one := range worstFirst(result) {
		switch one.State() {
		case fleet.Unhealthy:
			data.Unhealthy++
		case fleet.Unknown:
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
		level.Debug(p.logger).Log("msg", "serving the page failed, the client may be gone", "err", err)
	}
}

func newPageRow(r *fleet.InstanceResult) pageRow {
	row := pageRow{
		InstanceID: r.Instance.InstanceID, RegionID: r.Instance.RegionID, State: r.State().String(), Read: r.Health != nil,
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
	row.Conditions = h.Holding()
	if h.Snapshot != nil {
		row.Name = h.Snapshot.InstanceName
	}
	row.Status, row.Restorable, row.Until = string(h.LastStatus()), h.Restorable, clock(h.RestorableUntil)
	if h.Restorable > 0 && h.RestorableUntil.IsZero() {
		row.Until = "never expires"
	}
	if !h.LastSuccess.IsZero() {
		age := h.At.Sub(h.LastSuccess)
		row.LastSuccess, row.Age, row.AgeSeconds = clock(h.LastSuccess), roughly(age), age.Seconds()
		row.Late = h.Conditions[health.Overdue]
		if r.Instance.Timetable() != nil {
			row.Deadline = clock(h.Deadline)
		}
	}
	return row
}
