package report

import (
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
)

// rowsShown is how many instances a page of the table has.
const rowsShown = 100

// view is what the template shows.
type view struct {
	Links
	*Report

	Style      template.CSS
	Script     template.JS
	Collected  string
	Age        string
	Old        bool   // the data is older than the page should ever show
	OldestRead string // how long ago an instance was read, of those that count as read; empty if all were read lately
	Collecting bool
	Refresh    int // seconds until the page asks again

	Search, Sort       string
	Opened             []string
	States, Conditions []facet
	Choices            []choice
	Filtered           bool
	Unfiltered         string
	Columns            []heading
	Rows               []instanceRow
	Matching, From, To int
	Previous, Next     string
	Nothing            string // why the table is empty
}

// facet is a counter that is a filter.
type facet struct {
	Title, Class string
	Count        int
	Before       int // instances that had the condition when they could be read last
	URL          string
	Selected     bool
}

// choice is a list of values to filter by.
type choice struct {
	Parameter, Title string
	Options          []string
	Selected         string
}

type heading struct{ Key, Title, URL, Order string } // Order is ascending, descending or empty

// instanceRow is an instance in the table.
type instanceRow struct {
	*Instance

	Key, Title, Toggle string
	Stale              bool // it could not be read: all but the reason is from ReadOn
	ReadOn             string
	Severity           string
	Why                []sentenceView
	Age, Ended, Due    string
	Bar                *ageBar
	TaskStarted        string
	Until              string
	Detail             *detail // nil if the row is closed
}

// sentenceView is a sentence that says why an instance is not healthy, and where its runbook is.
type sentenceView struct {
	why

	Runbook string
}

// ageBar shows an age against its deadline, which is in the middle, at 50 of 100.
type ageBar struct{ Used, Beyond float64 }

func newView(report *Report, q query, links Links) *view {
	age := report.At.Sub(report.CollectedAt)
	v := &view{
		Links: links, Report: report, Collected: report.CollectedAt.Format("2006-01-02 15:04:05 UTC"), Age: roughly(age), Old: age > 2*freshFor,
		Search: q.get(searchParameter), Sort: q.get(sortParameter), Opened: q.values[openParameter],
		Filtered: q.isFiltered(), Unfiltered: q.unfiltered(),
	}
	v.addFacets(q)
	for _, c := range sortColumns() {
		h := heading{Key: c.key, Title: c.title}
		if c.key != "" {
			h.URL = q.link(sortParameter, c.key)
			switch v.Sort {
			case c.key:
				h.URL, h.Order = q.link(sortParameter, "-"+c.key), "ascending"
			case "-" + c.key:
				h.URL, h.Order = q.link(sortParameter, ""), "descending"
			}
		}
		v.Columns = append(v.Columns, h)
	}
	v.addRows(q)
	return v
}

func (v *view) addFacets(q query) {
	holding, before := map[health.Condition]int{}, map[health.Condition]int{}
	regions, accounts := map[string]bool{}, map[string]bool{}
	oldest := v.At
	for i := range v.Instances {
		one := &v.Instances[i]
		if one.State != fleet.Unknown.String() && one.ReadAt.Before(oldest) {
			oldest = *one.ReadAt
		}
		regions[one.RegionID], accounts[one.Account] = true, true
		for _, c := range one.Conditions {
			if one.State == fleet.Unknown.String() {
				before[c]++
			} else {
				holding[c]++
			}
		}
	}
	if age := v.At.Sub(oldest); age > 2*freshFor {
		v.OldestRead = roughly(age)
	}
	v.States = []facet{
		newFacet(q, stateParameter, fleet.Unhealthy.String(), v.Summary.Unhealthy),
		newFacet(q, stateParameter, fleet.Unknown.String(), v.Summary.Unknown),
		newFacet(q, stateParameter, fleet.Healthy.String(), v.Summary.Healthy),
	}
	for _, c := range byUrgency() {
		if holding[c]+before[c] > 0 {
			f := newFacet(q, conditionParameter, string(c), holding[c])
			f.Before = before[c]
			v.Conditions = append(v.Conditions, f)
		}
	}
	v.Choices = []choice{
		newChoice(q, regionParameter, "Region", regions), newChoice(q, accountParameter, "Account", accounts),
	}
	var states, conditions []string
	for _, f := range v.States {
		states = append(states, f.Title)
	}
	for _, f := range v.Conditions {
		conditions = append(conditions, f.Title)
	}
	v.Choices = append(v.Choices, choice{stateParameter, "State", states, q.get(stateParameter)}.withSelected(),
		choice{conditionParameter, "Condition", conditions, q.get(conditionParameter)}.withSelected())
}

// withSelected adds what is asked for and no instance has, so that the list does not read "all".
func (c choice) withSelected() choice {
	if c.Selected != "" && !slices.Contains(c.Options, c.Selected) {
		c.Options = append(c.Options, c.Selected)
	}
	return c
}

func newFacet(q query, parameter, value string, n int) facet {
	return facet{Title: value, Class: value, Count: n, URL: q.toggle(parameter, value), Selected: q.get(parameter) == value}
}

func newChoice(q query, parameter, title string, values map[string]bool) choice {
	c := choice{Parameter: parameter, Title: title, Selected: q.get(parameter)}
	for v := range values {
		c.Options = append(c.Options, v)
	}
	slices.Sort(c.Options)
	return c.withSelected()
}

func (v *view) addRows(q query) {
	matching := q.filter(v.Instances)
	q.sort(matching)
	v.Matching = len(matching)
	page := min(q.page(), max(1, (len(matching)+rowsShown-1)/rowsShown))
	first := (page - 1) * rowsShown
	last := min(first+rowsShown, len(matching))
	v.From, v.To = first+1, last
	if first > 0 {
		v.Previous = q.link(pageParameter, strconv.Itoa(page-1))
	}
	if last < len(matching) {
		v.Next = q.link(pageParameter, strconv.Itoa(page+1))
	}
	for i := range matching[first:last] {
		v.Rows = append(v.Rows, v.newRow(&matching[first+i], q))
	}
	switch {
	case len(v.Rows) > 0:
	case v.Filtered && len(v.Instances) > 0:
		v.Nothing = "No instance matches."
	case v.Summary.UnlistedRegions > 0:
		v.Nothing = "No instance is known. Which ones there are is unknown until their regions can be listed."
	case len(v.Regions) > 0:
		v.Nothing = "The regions have no instances to watch."
	default:
		v.Nothing = "No instances are configured."
	}
}

func (v *view) newRow(i *Instance, q query) instanceRow {
	key := i.RegionID + "/" + i.InstanceID
	r := instanceRow{
		Instance: i, Key: key, Title: i.title(), Toggle: q.toggleOpen(key),
		Stale: i.State == fleet.Unknown.String(), Severity: severity(&i.judged),
	}
	for _, w := range i.judged.reasons() {
		r.Why = append(r.Why, sentenceView{w, v.runbook(w.Condition)})
	}
	if q.isOpen(key) {
		r.Detail = newDetail(i, v.Links)
	}
	h := i.judged.health
	if h == nil {
		return r
	}
	r.ReadOn = clock(h.ReadAt)
	if !h.LastSuccess.IsZero() {
		r.Age, r.Ended = roughly(h.At.Sub(h.LastSuccess)), clock(h.LastSuccess)
	}
	switch late := i.judged.late(); {
	case h.Deadline.IsZero():
	case late > 0:
		r.Due = fmt.Sprintf("%s late", roughly(late))
		r.Bar = newBar(h)
	default:
		r.Due = "next due in " + roughly(-late)
		r.Bar = newBar(h)
	}
	if start := h.LastStart(); !start.IsZero() {
		r.TaskStarted = roughly(h.At.Sub(start)) + " ago"
		if start.After(h.At) {
			r.TaskStarted = "in " + roughly(start.Sub(h.At))
		}
	}
	switch {
	case h.Restorable == 0:
		r.Until = "nothing"
	case h.RestorableUntil.IsZero():
		r.Until = "never expires"
	default:
		r.Until = "until " + clock(h.RestorableUntil)
	}
	return r
}

func newBar(h *health.Health) *ageBar {
	age, limit := h.At.Sub(h.LastSuccess).Seconds(), h.Deadline.Sub(h.LastSuccess).Seconds()
	const middle = 50
	if age <= limit {
		return &ageBar{Used: middle * max(0, age/limit)}
	}
	return &ageBar{Used: middle, Beyond: middle * (1 - limit/age)} // however late, it never ends
}

// severity grades how late an instance is, against the time that it had: three days count more for a daily backup than for a weekly one.
func severity(j *judged) string {
	late := j.late()
	switch {
	case j.health != nil && (j.health.Conditions[health.Missing] || j.health.Conditions[health.Expiring]):
		return "latest" // worse than late
	case late <= 0:
		return ""
	}
	switch allowed := j.health.Deadline.Sub(j.health.LastSuccess); {
	case late < allowed/4:
		return "late"
	case late < max(allowed, 24*time.Hour):
		return "later"
	default:
		return "latest"
	}
}
