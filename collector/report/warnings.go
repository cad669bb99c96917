package report

import (
	"fmt"
	"strings"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
)

// warnings says what is wrong with the reading itself.
func warnings(r *fleet.Result) (all []string) {
	all = append(all, failedReads(r)...)
	for _, t := range r.RequestTimes {
		if t.TooLong(r.Deadline) {
			all = append(
				all,
				fmt.Sprintf("The scrape deadline is too short: the %d requests for %s (account %s) take %s at the exporter's own limit, "+
					"and this scrape had %s. Some instances time out, different ones in each scrape. What helps: %s.",
					t.Requests, t.RegionID, t.Account, roughly(t.Time), roughly(r.Deadline), fleet.TooLongHint),
			)
		}
	}
	for i := range r.Instances {
		one := &r.Instances[i]
		if needed, never := r.NeverFits(one); never {
			all = append(all, fmt.Sprintf("%s (%s) can never be read in time: it takes about %d requests and %s, and this scrape had %s.",
				one.Instance.InstanceID, one.Instance.RegionID, one.Totals.Requests, roughly(needed), roughly(r.Deadline)))
		}
	}
	for _, c := range r.Credentials {
		if c.Before != "" {
			all = append(all, fmt.Sprintf("The credentials of account %s now come from %s; before, they came from %s. "+
				"Its identity may not see the same instances.", c.Account, c.Provider, c.Before))
		}
	}
	for i := range r.Discoveries {
		d := &r.Discoveries[i]
		if text := unlisted(d); text != "" {
			all = append(all, text)
		}
		if d.ReadsEach {
			all = append(all, fmt.Sprintf("Each instance of %s (account %s) is read on its own for now, because listing all backups failed or "+
				"returned an incomplete list. The log says why.", d.RegionID, d.Account))
		}
	}
	for _, o := range r.Optional {
		for _, f := range o.Failures {
			all = append(all, fmt.Sprintf("The %s of %d of %s cannot be read: %s. Backups are not affected. %s",
				f.Subject, f.Instances, plural(len(r.Instances), "instance"), summary(f.Reason), strings.TrimSpace(message(f.Err))))
		}
	}
	return all
}

// failedReads sums up the failed reads of more than one instance by reason.
func failedReads(r *fleet.Result) (all []string) {
	failed := map[apiclient.Reason]int{}
	for i := range r.Instances {
		if one := &r.Instances[i]; one.Err != nil {
			failed[one.Reason()]++
		}
	}
	for _, reason := range apiclient.Reasons() {
		if n := failed[reason]; n > 1 {
			all = append(all, fmt.Sprintf("%d of %s cannot be read: %s (%s).", n, plural(len(r.Instances), "instance"), summary(reason), reason))
		}
	}
	return all
}

// unlisted says why the instances of a region are not known for certain; empty if they are.
func unlisted(d *fleet.DiscoveryResult) string {
	where := fmt.Sprintf("%s (account %s", d.RegionID, d.Account)
	if d.Tags != "" {
		where += ", tags " + d.Tags
	}
	where += ")"
	text := ""
	switch {
	case d.LastSuccess.IsZero():
		text = fmt.Sprintf("The instances of %s have not been listed yet. Instances found only there are not watched.", where)
	case d.Err != nil:
		text = fmt.Sprintf("The instances of %s cannot be listed. Known instances are still watched. They were last listed %s.", where,
			clock(d.LastSuccess))
	default:
		return ""
	}
	if d.Err != nil {
		text += " " + strings.TrimSpace(message(d.Err))
	}
	return text
}
