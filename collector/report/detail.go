package report

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
)

const (
	tasksShown  = 10
	tablesShown = 10
)

// detail is what an open row shows.
type detail struct {
	Tasks       []taskRow
	TasksTotal  int
	Tables      []tableRow
	TablesTotal int
	Failed      []string // tables of the newest ended task
	FailedTotal int
	Facts       []namedValue
	Timeline    *timeline // nil without a restore point
	Error       *Error
	Links       []labeledLink
}

type namedValue struct{ Name, Value string }

type taskRow struct{ ID, Status, Start, Took, Size, Expires, Class string }

type tableRow struct {
	Name, Size, Took string
	Share            float64 // of the largest
}

type labeledLink struct{ Title, URL string }

func newDetail(i *Instance, links Links) *detail {
	d := &detail{Error: i.Error, Links: links.of(i)}
	h := i.judged.health
	if h == nil {
		return d
	}
	d.addTasks(h, i.judged.Limits.Cancellations)
	d.addTables(h)
	d.Timeline = newTimeline(h)
	add := func(name, value string) {
		if value != "" {
			d.Facts = append(d.Facts, namedValue{name, value})
		}
	}
	limits := &i.judged.Limits
	if limits.MaxAge > 0 {
		add("Max age", roughly(limits.MaxAge))
	}
	if limits.Schedule != nil {
		add("Schedule", fmt.Sprintf("%s (%s), grace %s", i.Schedule, i.judged.Instance.TimeZone, roughly(limits.Grace)))
	}
	add("Next good backup due by", clock(h.Deadline))
	if sizeInWords(h.LastSuccessDataBytes) != "" {
		size := sizeInWords(h.LastSuccessDataBytes)
		if before := sizeInWords(h.BaselineBytes); before != "" {
			size += ", largest of the seven before it: " + before
		}
		add("Data in the newest good backup", size)
	}
	if h.LongestRun > 0 {
		add("Longest run", roughly(durationOf(h.LongestRun)))
	}
	if s := h.Snapshot; s != nil {
		add("Version", printable(strings.TrimSpace(s.MinorVersion+" "+s.RunMode)))
	}
	if p := limits.Policies; p != nil {
		add("Backup policies", policiesInWords(p))
	}
	if l := limits.Restores; l != nil {
		last := "none in the history"
		if !l.Last.IsZero() {
			last = when(h, l.Last)
			if l.LastDuration >= 0 {
				last += ", took " + roughly(durationOf(l.LastDuration))
			}
		}
		add("Last restore", last)
	}
	add("Subscription ends", clock(h.SubscriptionEnd))
	add("Last complete read", fmt.Sprintf("%s, %s ago", clock(h.ReadAt), roughly(h.At.Sub(h.ReadAt))))
	return d
}

// policiesInWords describes the policies. The API does not say in which time zone they run, nor on which days.
func policiesInWords(p *health.Policies) string {
	if len(p.All) == 0 {
		return "none"
	}
	text := plural(len(p.All), "policy")
	if len(p.All) > 1 {
		text = fmt.Sprintf("%d policies", len(p.All))
	}
	if days := p.ExpireDays(); days > 0 {
		text += fmt.Sprintf(", backups last %g d", days)
	}
	if timeout := p.TimeoutSeconds(); timeout > 0 {
		text += ", a task may run for " + roughly(durationOf(timeout))
	}
	return text
}

func (d *detail) addTasks(h *health.Health, cancellations *health.Cancellations) {
	d.TasksTotal = len(h.Tasks)
	for i := range h.Tasks[:min(len(h.Tasks), tasksShown)] {
		t := &h.Tasks[i]
		row := taskRow{
			ID: printable(t.ID), Status: string(t.Status), Start: clock(t.Start.Time()), Size: sizeInWords(t.DiskBytes), Expires: "never",
		}
		switch {
		case t.Implausible:
			row.Status, row.Class = row.Status+", implausible", "bad"
		case t.Status.EndedWithoutBackup():
			row.Status, row.Class = row.Status+byHand(cancellations.Of(t, h.Tasks)), "bad"
		case t.Status == apiclient.StatusUnknown:
			row.Status, row.Class = fmt.Sprintf("%s (%s)", t.Status, printable(t.StatusWord)), "bad"
		}
		switch {
		case t.Status.Ended() && t.Start != 0 && t.Finish > t.Start:
			row.Took = roughly(t.Finish.Time().Sub(t.Start.Time()))
		case t.Status == apiclient.StatusRunning && t.Start != 0:
			row.Took = "running for " + roughly(h.At.Sub(t.Start.Time()))
		}
		switch {
		case t.Status != apiclient.StatusCompleted:
			row.Expires, row.Size = "", ""
		case t.Expire != 0 && !t.Expire.Time().After(h.At):
			row.Expires = "expired " + clock(t.Expire.Time())
		case t.Expire != 0:
			row.Expires = clock(t.Expire.Time())
		}
		d.Tasks = append(d.Tasks, row)
	}
}

// byHand says beside the status of a canceled task what canceled it; empty if that is not known.
func byHand(c health.Cancellation, known bool) string {
	switch {
	case !known:
		return ""
	case c.Guessed:
		return ", probably by hand"
	case c.Deleted:
		return ", backup deleted by hand"
	default:
		return " by hand"
	}
}

func (d *detail) addTables(h *health.Health) {
	d.TablesTotal = len(h.Tables) + h.TablesDropped
	for _, t := range h.Tables[:min(len(h.Tables), tablesShown)] {
		row := tableRow{Name: printable(t.Database + "." + t.Name), Size: sizeInWords(t.Bytes)}
		if t.DurationSeconds >= 0 {
			row.Took = roughly(durationOf(t.DurationSeconds))
		}
		if largest := h.Tables[0].Bytes; t.Bytes > 0 {
			row.Share = 100 * t.Bytes / largest
		}
		d.Tables = append(d.Tables, row)
	}
	d.FailedTotal = h.FailedTables.Total
	for _, t := range h.FailedTables.Named[:min(len(h.FailedTables.Named), tablesShown)] {
		d.Failed = append(d.Failed, printable(t.Database+"."+t.Name))
	}
}

// timeline is the restore points on a line from the oldest until the last expires, or until now if that is later. Positions are from 0
// to 1000.
type timeline struct {
	Points   []timelinePoint
	Now      float64
	From, To string
	Summary  string
}

type timelinePoint struct {
	At    float64
	Title string
	Class string
}

func newTimeline(h *health.Health) *timeline {
	from, to := h.At, h.At
	for i := range h.Tasks {
		t := &h.Tasks[i]
		if end := t.End(); onTimeline(t, h) && end.Before(from) {
			from = end
		}
	}
	if from.Equal(h.At) {
		return nil
	}
	if h.RestorableUntil.After(to) {
		to = h.RestorableUntil
	}
	at := func(t time.Time) float64 { return 1000 * t.Sub(from).Seconds() / to.Sub(from).Seconds() }
	line := &timeline{Now: at(h.At), From: clock(from), To: clock(to)}
	for i := range h.Tasks {
		t := &h.Tasks[i]
		if !onTimeline(t, h) {
			continue
		}
		point := timelinePoint{At: at(t.End()), Class: "gone", Title: string(t.Status) + " " + clock(t.End())}
		switch {
		case t.Restorable(h.At):
			point.Class = "point"
		case t.Status == apiclient.StatusCompleted:
			point.Title = "expired, completed " + clock(t.End())
		default:
			point.Class = "failed"
		}
		line.Points = append(line.Points, point)
	}
	line.Summary = "nothing can be restored"
	if h.Restorable > 0 {
		line.Summary = fmt.Sprintf("%s, the oldest of %s; ", plural(h.Restorable, "restore point"), clock(h.OldestRestorable))
		if h.RestorableUntil.IsZero() {
			line.Summary += "at least one never expires"
		} else {
			line.Summary += "the last one expires " + when(h, h.RestorableUntil)
		}
	}
	return line
}

// onTimeline reports whether a task ended at a time that can be true.
func onTimeline(t *health.Task, h *health.Health) bool {
	return t.Status.Ended() && !t.Implausible && !t.End().IsZero() && !t.End().After(h.At)
}

// Links is what the page refers to.
type Links struct {
	MetricsPath, Version string
	GrafanaURL           string // of Grafana; empty if unknown
	RunbookURL           string // of alerts/README.md; empty if unknown
}

// of returns the links of an instance.
func (l Links) of(i *Instance) []labeledLink {
	id := i.judged.Instance.InstanceID
	all := []labeledLink{
		{"metrics", "./" + l.MetricsPath + "#:~:text=" + url.PathEscape(id)},
		{"console (alibabacloud.com)", console("https://emr.console.alibabacloud.com/", i.RegionID, "list")},
		{"console (aliyun.com)", console("https://emr-next.console.aliyun.com/", i.RegionID, "overview")},
	}
	if l.GrafanaURL != "" {
		variables := url.Values{"var-region": {i.RegionID}, "var-account": {i.Account}, "var-instance": {id}}
		all = append(all, labeledLink{"Grafana", strings.TrimSuffix(l.GrafanaURL, "/") + "/d/starrocks-backup-instance?" + variables.Encode()})
	}
	return all
}

// console returns the address of the instances of a region in the vendor's console. An account belongs to the international site, whose
// address the vendor's documentation prints, or to the Chinese site, where people have copied this one. Neither names an instance.
func console(site, region, page string) string {
	return site + "#/region/" + url.PathEscape(region) + "/resource/all/serverless/starrocks/" + page
}

// runbook returns the address of the runbook of a condition; of reading itself if it is empty. It is empty if it is not known.
func (l Links) runbook(c health.Condition) string {
	if l.RunbookURL == "" {
		return ""
	}
	alert := map[health.Condition]string{
		"": "instanceunreadable", health.Failing: "failed", health.TablesFailed: "tablefailed",
	}[c]
	if alert == "" {
		alert = strings.ReplaceAll(string(c), "_", "")
	}
	return l.RunbookURL + "#starrocksbackup" + alert
}
