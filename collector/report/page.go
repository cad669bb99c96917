package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

// Page serves the fleet as HTML to a person, and as JSON to a script.
type Page struct {
	options   Options
	freshness *freshness
	template  *template.Template
	policy    string

	mu sync.Mutex // one page is rendered at a time, which limits the memory; rendering does not wait for a client
}

// Options is what a page is made of.
type Options struct {
	Scraper  Scraper
	Deadline time.Duration // of the page's own collections, if no scrape has had a longer one
	// ReloadFailure returns when and why the last reload of the configuration failed; a nil error if it succeeded.
	ReloadFailure func() (at time.Time, err error)
	Now           func() time.Time
	Links         Links
	Logger        log.Logger
}

// NewPage returns the page of a fleet.
func NewPage(o Options) *Page {
	o.Links.MetricsPath = strings.TrimPrefix(o.Links.MetricsPath, "/")
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return &Page{
		options:   o,
		freshness: &freshness{scraper: o.Scraper, deadline: o.Deadline, now: o.Now},
		template:  template.Must(template.New("page").Parse(pageHTML)),
		policy: "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; connect-src 'self'; style-src " +
			hash(pageCSS) + "; script-src " + hash(pageJS),
	}
}

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	result, collecting := p.freshness.result()
	header := w.Header()
	header.Set("Vary", "Accept")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	if wantsJSON(r) {
		header.Set("Content-Type", "application/json")
	} else {
		header.Set("Content-Type", "text/html; charset=utf-8")
		header.Set("Content-Security-Policy", p.policy)
		header.Set("Referrer-Policy", "no-referrer")
	}
	body, err := p.render(r, result, collecting)
	if err != nil {
		level.Error(p.options.Logger).Log("msg", "rendering the page failed, returning status 500", "err", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	if _, err := w.Write(body.Bytes()); err != nil {
		level.Debug(p.options.Logger).Log("msg", "serving the page failed, the client may be gone", "err", err)
	}
}

// render returns the page that a request asks for.
func (p *Page) render(r *http.Request, result *fleet.Result, collecting bool) (*bytes.Buffer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	report := New(result, p.options.Now())
	if at, err := p.options.ReloadFailure(); err != nil {
		text := fmt.Sprintf("The configuration could not be reloaded (%s, %s ago). The exporter keeps the previous one. %s",
			clock(at), roughly(report.At.Sub(at)), printable(strings.ReplaceAll(err.Error(), "\n", "; ")))
		report.Warnings = append([]string{text}, report.Warnings...)
	}
	q, body := newQuery(r.URL.Query()), &bytes.Buffer{}
	if !wantsJSON(r) {
		return body, p.template.Execute(body, p.view(report, q, collecting))
	}
	report.Instances = q.filter(report.Instances)
	encoder := json.NewEncoder(body)
	encoder.SetIndent("", "  ")
	return body, encoder.Encode(report)
}

// wantsJSON reports whether a request asks for JSON. A browser accepts HTML as well.
func wantsJSON(r *http.Request) bool {
	if format := r.URL.Query().Get(formatParameter); format != "" {
		return format == "json"
	}
	accept := strings.Join(r.Header.Values("Accept"), ",")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

func (p *Page) view(report *Report, q query, collecting bool) *view {
	v := newView(report, q, p.options.Links)
	v.Style, v.Script = template.CSS(pageCSS), template.JS(pageJS) //nolint:gosec // our own files
	const calm, soon = 30, 3
	v.Refresh = calm
	if collecting {
		v.Collecting, v.Refresh = true, soon
	}
	return v
}
