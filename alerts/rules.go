package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// The windows. None is a multiple of a usual scrape or evaluation interval: whether a sample on the edge of a window counts differs between
// Prometheus 2 and 3.
const (
	chain      = "14m50s" // the value of a moment ago: a gap in the evaluation of up to this length loses nothing
	recent     = "2m25s"  // bridges a scrape that arrives in several batches, and records that become visible an evaluation late
	before     = "2m10s"  // about as long, also where a scrape has ended in the middle and nothing says that its series ended
	scrape     = "6m10s"  // the last scrape: intervals of up to 5 minutes
	gap        = "10m10s" // the last scrape but one
	remembered = "26h10s" // how long an exporter that is gone is remembered, and what exporters said
	slow       = "7h10s"  // policies and restores are read again: after a restart, nothing is known of them for a while
	reread     = "2h10s"  // the same, while nine of ten reads of the instance work
)

// parameters are what a user may change without touching an expression.
type parameters struct {
	runbookURL string
	cluster    string            // the label that tells clusters apart
	severities map[string]string // by severity, alert or alert/severity
	waits      map[string]string // by alert or alert/severity
	watchdog   bool
}

type group struct {
	name    string
	comment string
	records []record
	alerts  []alert
}

type record struct {
	name, comment, expr string
}

type alert struct {
	name, severity, wait string // severity before parameters.severities changes it
	comment, expr        string
	summary, description string
	lastRead             bool // whether the annotation last_read says how old the statement is
}

// groups returns all rules. Groups do not depend on the order in which they are evaluated, and have at most 20 rules.
func groups(p parameters) ([]group, error) {
	if !model.LegacyValidation.IsValidLabelName(p.cluster) {
		return nil, fmt.Errorf("%q cannot be the name of a label", p.cluster)
	}
	down, err := exporterDown(p)
	if err != nil {
		return nil, err
	}
	onExporters := append(slices.Concat(readAlerts, exporterAlerts), down)
	if p.watchdog {
		onExporters = append(onExporters, watchdog)
	}
	all := []group{
		{name: "starrocks_backup_records", comment: "What the alerts look at.", records: records},
		{name: "starrocks_backup", comment: "What is wrong with the backups of an instance.", alerts: backupAlerts},
		{name: "starrocks_backup_exporter", comment: "What keeps the exporters from seeing it.", alerts: onExporters},
	}
	named, severities, waits := map[string]bool{}, map[string]bool{}, map[string]model.Duration{}
	for _, g := range all {
		for _, a := range g.alerts {
			key := a.name + "/" + a.severity
			named[a.name], named[key], severities[a.severity] = true, true, true
			if waits[key], err = model.ParseDuration(cmp.Or(p.wait(a.name, a.severity, a.wait), "0s")); err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	for one, region := range replacedBy {
		if waits[one] < waits[region+"/critical"]+model.Duration(regionFirst) {
			return nil, fmt.Errorf("%s must wait %v longer than %s, or an outage of a region raises an alert for each instance",
				one, regionFirst, region)
		}
	}
	for key, severity := range p.severities {
		if !named[key] && !severities[key] {
			return nil, fmt.Errorf("there is no alert or severity %q", key)
		}
		if severity == "" {
			return nil, fmt.Errorf("the severity of %s is empty", key)
		}
	}
	for key, wait := range p.waits {
		if !named[key] {
			return nil, fmt.Errorf("there is no alert %q", key)
		}
		if wait == "" {
			return nil, fmt.Errorf("the waiting time of %s is empty", key)
		}
	}
	return all, nil
}

var records = []record{
	{
		name:    "starrocks_backup:exporter:down",
		comment: `1 for each target that was an exporter and does not answer, for as long as it is a target.`,
		expr: `
group by (cluster, job, instance) (
  last_over_time(starrocks_backup_exporter_build_info[` + remembered + `]) and on (cluster, job, instance) up
  or last_over_time(starrocks_backup:exporter:down[` + remembered + `]) and on (cluster, job, instance) (up or up offset 70s) == 0
)
unless on (cluster, job, instance) starrocks_backup_exporter_build_info`,
	},
	{
		name: "starrocks_backup:exporter:missing",
		comment: `Jobs in which an exporter does not answer: an instance that nobody reports may still be configured.
1: none of the job's exporters of the last 26 hours answers, or fewer shards than there are, or one of them is a target that is down.
Above 1: exporters disagree on the number of shards, which is being changed.`,
		expr: `
group by (cluster, job) (
  last_over_time(starrocks_backup_exporter_build_info[` + remembered + `])
  unless on (cluster, job) starrocks_backup_exporter_build_info
)
or group by (cluster, job) (
  last_over_time(starrocks_backup_exporter_build_info[` + remembered + `])
  unless on (cluster, job, instance) starrocks_backup_exporter_build_info
  and on (cluster, job, instance) up
)
or group by (cluster, job) (
  count by (cluster, job) (group by (cluster, job, shard) (starrocks_backup_shard_instances))
  < on (cluster, job) max by (cluster, job) (starrocks_backup_total_shards)
)
or max by (cluster, job) (starrocks_backup_total_shards) > min by (cluster, job) (starrocks_backup_total_shards)`,
	},
	{
		name: "starrocks_backup:condition",
		comment: `Each condition of each instance, 1 or 0: what an exporter knows now; else what was known a moment ago, while the instance is
configured but unreadable, or its exporter is missing, or its region has not been listed yet.
Of a pair, one exporter that can read suffices.
What policies and restores said is -1 once it has not been read for hours, although the instance has: nobody reads it any more.
Once a scrape no longer has an instance, unreadable is -1 for a moment, so that nothing brings it back.`,
		expr: `
(
  min by (cluster, job, instance_id, region_id, condition) (starrocks_backup_read_condition{condition="unreadable"})
  or max by (cluster, job, instance_id, region_id, condition) (starrocks_backup_condition or starrocks_backup_read_condition)
)
or on (cluster, instance_id, region_id, condition) (
  (
    last_over_time(starrocks_backup:condition{condition=~"no_policy|restore_untested"}[` + chain + `])
    and on (cluster, job, instance_id, region_id) (
      avg_over_time(starrocks_backup_up[` + reread + `]) > 0.9 and starrocks_backup_up and starrocks_backup_up offset 2h
    )
    unless on (cluster, job, instance_id, region_id, condition)
    last_over_time(starrocks_backup_condition{condition=~"no_policy|restore_untested"}[` + slow + `])
  ) * 0 - 1
  or last_over_time(starrocks_backup:condition[` + chain + `])
  and on (cluster, job, instance_id, region_id) (
    starrocks_backup_up
    or starrocks_backup_up offset ` + before + `
    or last_over_time(starrocks_backup:condition{condition="unreadable"}[` + chain + `]) >= 0
    and on (cluster, job) last_over_time(starrocks_backup:exporter:missing[` + recent + `])
    or last_over_time(starrocks_backup:condition{condition="unreadable"}[` + chain + `]) >= 0
    and on (cluster, job, region_id) (starrocks_backup_discovery_complete == 0)
  )
)
or (last_over_time(starrocks_backup:condition{condition="unreadable"}[` + chain + `]) >= 0) * 0 - 1
unless last_over_time(starrocks_backup:condition{condition="unreadable"}[` + recent + `])
and on (cluster, job) last_over_time(starrocks_backup_exporter_build_info[` + recent + `])`,
	},
}

// holds is the expression of an alert on a condition of an instance.
func holds(condition string) string {
	return fmt.Sprintf(`max by (cluster, instance_id, region_id) (starrocks_backup:condition{condition=%q}) == 1`, condition)
}

// holdsForMost is the expression of an alert on a region: for how many of its instances a condition holds, if these are more than half of
// them and at least five.
func holdsForMost(condition string) string {
	return fmt.Sprintf(`
(
  count by (cluster, region_id) (starrocks_backup:condition{condition=%[1]q} == 1)
  > 0.5 * count by (cluster, region_id) (starrocks_backup:condition{condition=%[1]q} >= 0)
) >= 5`, condition)
}

// quietWhile ends the expression of an alert on an instance that is quiet while the region's own alert fires.
func quietWhile(regions string) string {
	return fmt.Sprintf("\nunless on (cluster, region_id) ALERTS{alertname=%q,alertstate=\"firing\"}", regions)
}

// of is where the templates of annotations look: one instance, now. In vmalert 1.79, an absent label is nil.
const of = `{{- $i := printf "cluster=%q,instance_id=%q,region_id=%q" (or $labels.cluster "") $labels.instance_id $labels.region_id -}}` +
	"\n"

// known is a sentence about a metric of the instance, with %s for its value in words. It is left out while there is no value.
func known(metric, in, sentence string) string {
	return asked(fmt.Sprintf("max(starrocks_backup_%s{%%s})", metric), in, sentence)
}

func asked(query, in, sentence string) string {
	return fmt.Sprintf("{{ with printf %q $i | query }}%s{{ end }}\n",
		query, strings.ReplaceAll(sentence, "%s", "{{ . | first | value | "+in+" }}"))
}

const (
	instanceOf = "{{ with printf \"max by (instance_name) (starrocks_backup_instance_info{%s,instance_name!=''})\" $i | query }}" +
		"{{ . | first | label \"instance_name\" }} ({{ $labels.instance_id }}){{ else }}{{ $labels.instance_id }}{{ end }} " +
		"in {{ $labels.region_id }}"
	lastRead = of + "{{ with printf \"time() - max(starrocks_backup_last_read_timestamp_seconds{%s})\" $i | query }}" +
		"{{ . | first | value | humanizeDuration }} ago{{ else }}unknown: no exporter answers, or none has read it yet{{ end }}"
)

var (
	newestGood = known("last_success_timestamp_seconds", "humanizeTimestamp", "The newest good backup finished at %s.")
	// humanizeTimestamp fails after 2262, and an expiry in 2999 or 9999 means never.
	expires = asked("max(starrocks_backup_restorable_until_timestamp_seconds{%s}) < 9e9", "humanizeTimestamp",
		"The last backup that can be restored expires at %s.")
	// No metric says what canceled a run. The page does, where operations are read.
	canceled = asked("max(starrocks_backup_last_task_status{%[1]s,status='canceled'}) == 1 and max(starrocks_backup_restores{%[1]s})", "",
		"The newest run was canceled. If it was canceled by hand, the exporter's page may say when and by which operation.")
	failures = known("consecutive_failures", "humanize", "Runs without a backup since the newest good one: %s.") +
		known("last_failure_timestamp_seconds", "humanizeTimestamp", "The last ended at %s.") + canceled
)

var backupAlerts = []alert{
	{
		name: "StarRocksBackupOverdue", severity: "critical", expr: holds("overdue"), lastRead: true,
		summary: "Backup overdue",
		description: asked("time() - max(starrocks_backup_last_success_timestamp_seconds{%s})", "humanizeDuration",
			"The newest good backup finished %s ago.") +
			known("deadline_timestamp_seconds", "humanizeTimestamp", "A newer one was due by %s.") +
			"Data written since the newest good backup is in no backup. Find out why none completed, and start one by hand.",
	},
	{
		name: "StarRocksBackupMissing", severity: "critical", wait: "1h", expr: holds("missing"), lastRead: true,
		summary: "No backup to restore",
		description: known("last_success_timestamp_seconds", "humanizeTimestamp", "The newest good backup finished at %s and has expired.") +
			"If the instance is lost now, so is its data. Start a backup by hand and check that it completes.",
	},
	{
		name: "StarRocksBackupFailed", severity: "warning", expr: holds("failing"), lastRead: true,
		summary:     "Backup failed",
		description: failures + newestGood + "Read the task's error in the console; the next run may succeed.",
	},
	{
		name: "StarRocksBackupFailingRepeatedly", severity: "critical", expr: holds("failing_repeatedly"), lastRead: true,
		summary: "Backups keep failing",
		description: failures + expires +
			"It will not recover on its own. Read the task's error in the console, remove the cause, and start a backup by hand.",
	},
	{
		name: "StarRocksBackupStuck", severity: "warning", expr: holds("stuck"), lastRead: true,
		summary: "Backup stuck",
		description: asked("time() - max(starrocks_backup_running_task_start_timestamp_seconds{%s})", "humanizeDuration",
			"A task has been running for %s.") +
			known("last_success_duration_seconds", "humanizeDuration", "The newest good one took %s.") +
			"Check its progress. If it makes none, cancel it and start a backup by hand.",
	},
	{
		name: "StarRocksBackupExpiring", severity: "critical", expr: holds("expiring"), lastRead: true,
		summary: "The last backup is about to expire",
		description: expires + "No newer backup completes. Once the last one expires, there is nothing to restore.\n" + newestGood +
			"Start a backup by hand now and check that it completes.",
	},
	{
		name: "StarRocksBackupRetentionTooShort", severity: "warning", expr: holds("retention_too_short"), lastRead: true,
		summary: "Backups expire before the next is due",
		description: known("last_success_expire_timestamp_seconds", "humanizeTimestamp", "The newest good backup expires at %s.") +
			known("deadline_timestamp_seconds", "humanizeTimestamp", "The next one is due by %s.") +
			"Even if every backup succeeds, there will be a time with nothing to restore. Keep backups longer, or back up more often.",
	},
	{
		name: "StarRocksBackupShrunk", severity: "warning", expr: holds("shrunk"), lastRead: true,
		summary: "Backup much smaller than before",
		description: known("last_success_data_size_bytes", "humanize1024", "The newest good backup holds %sB.") +
			known("data_size_baseline_bytes", "humanize1024", "The largest of the seven before it holds %sB.") +
			"The newest good backup holds much less data than earlier ones, or lacks a database. " +
			"Find out whether the data was dropped on purpose, before the older backups expire.",
	},
	{
		name: "StarRocksBackupTableFailed", severity: "warning", expr: holds("tables_failed"), lastRead: true,
		summary: "Backup lacks tables",
		description: "The newest good backup is completed, but some of its tables failed and cannot be restored from it.\n" +
			asked("count(max by (database, table) (starrocks_backup_subtask_failed{%s}))", "humanize",
				"Tables that the newest ended task did not back up: %s.") +
			"Read their errors in the console, and start a backup by hand.",
	},
	{
		name: "StarRocksBackupStatusUnknown", severity: "warning", expr: holds("status_unknown"), lastRead: true,
		summary: "Backup of unknown status",
		description: "The newest task, or a table of the newest good backup, has a status that the exporter does not know.\n" +
			known("last_task_start_timestamp_seconds", "humanizeTimestamp", "The newest task began at %s.") + newestGood +
			"Look at the task in the console, and map the word by backups.status_words.",
	},
	{
		name: "StarRocksBackupImplausible", severity: "warning", expr: holds("implausible"), lastRead: true,
		summary: "Implausible backup task",
		description: "A task in the list contradicts itself or the clock, has a time or size that cannot be read, or ended at an unknown time. " +
			"It does not count as a backup.\n" +
			newestGood + "Compare the newest tasks with the console, and check the clock of the exporter.",
	},
	{
		name: "StarRocksBackupSubscriptionEnding", severity: "critical", expr: holds("subscription_ending"), lastRead: true,
		summary: "Subscription ending",
		description: known("instance_expire_timestamp_seconds", "humanizeTimestamp", "The subscription ends at %s.") +
			"The instance is then suspended, and released 7 days later together with its backups. Renew it.",
	},
	{
		name: "StarRocksBackupNoPolicy", severity: "warning", expr: holds("no_policy"), lastRead: true,
		comment: "Where policies are read.",
		summary: "No backup policy",
		description: known("policies_last_read_timestamp_seconds", "humanizeTimestamp", "The instance had no backup policy at %s.") +
			newestGood + "No backup will start by itself. Create a policy, or start backups by other means.",
	},
	{
		name: "StarRocksBackupRestoreUntested", severity: "warning", expr: holds("restore_untested"), lastRead: true,
		comment: "Where restores are read and have a max_age.",
		summary: "Restore untested",
		description: known("last_restore_timestamp_seconds", "humanizeTimestamp", "The newest restore completed at %s.") +
			"Nobody knows whether the backups can be restored. Restore one to another instance and check the data.",
	},
}

const (
	regionUnreadable, regionRejected = "StarRocksBackupRegionUnreadable", "StarRocksBackupRegionRejected"
	// regionFirst is how much sooner a region's alert fires than those that it replaces. Otherwise they would fire together where rules
	// see their own results one evaluation later.
	regionFirst = 5 * time.Minute
)

// replacedBy names the alert of a region that keeps an alert on an instance quiet.
var replacedBy = map[string]string{
	"StarRocksBackupInstanceUnreadable/warning":   regionUnreadable,
	"StarRocksBackupInstanceUnreadable/critical":  regionUnreadable,
	"StarRocksBackupCredentialsRejected/critical": regionRejected,
}

// instanceUnreadable holds while no exporter can read an instance.
var instanceUnreadable = "\nmin by (cluster, instance_id, region_id) (starrocks_backup:condition{condition=\"unreadable\"} >= 0) == 1" +
	quietWhile(regionUnreadable)

// readAlerts says what cannot be read. Its annotations query nothing: in an outage there are many alerts on instances until the region's
// alert fires, and while an instance cannot be read, its name is not exported.
var readAlerts = []alert{
	{
		name: regionUnreadable, severity: "critical", wait: "25m",
		expr:    holdsForMost("unreadable"),
		comment: "One alert for a region instead of one for each instance.",
		summary: "Backups of {{ $labels.region_id }} cannot be read",
		description: "{{ $value | humanize }} instances of {{ $labels.region_id }}, more than half of them, cannot be read: " +
			"it is unknown whether their backups are good.\nTheir other alerts stay as they were at the last read. " +
			"The exporter's page and log say why.",
	},
	{
		name: "StarRocksBackupInstanceUnreadable", severity: "warning", wait: "30m", expr: instanceUnreadable,
		summary: "Backups cannot be read: {{ $labels.instance_id }} in {{ $labels.region_id }}",
		description: "It is unknown whether the backups of this instance are good. Its other alerts stay as they were at the last read.\n" +
			"The exporter's page and log say why.",
	},
	{
		name: "StarRocksBackupInstanceUnreadable", severity: "critical", wait: "6h", expr: instanceUnreadable,
		summary: "Backups cannot be read for hours: {{ $labels.instance_id }} in {{ $labels.region_id }}",
		description: "It is unknown whether the backups of this instance are good. Its other alerts stay as they were at the last read.\n" +
			"The exporter's page and log say why.",
	},
	{
		name: regionRejected, severity: "critical", wait: "10m",
		expr:    holdsForMost("access_denied"),
		summary: "Credentials rejected in {{ $labels.region_id }}",
		description: "The API rejects the exporter's credentials, or they lack a permission, for {{ $value | humanize }} instances of " +
			"{{ $labels.region_id }}, more than half of them.\nThe exporter's page and log quote the API's error " +
			"and name the missing RAM action. Fix the key, the role or the policy.",
	},
	{
		name: "StarRocksBackupCredentialsRejected", severity: "critical", wait: "15m",
		expr:    "\n" + holds("access_denied") + quietWhile(regionRejected),
		summary: "Credentials rejected: {{ $labels.instance_id }} in {{ $labels.region_id }}",
		description: "The API rejects the exporter's credentials, or they lack a permission for this instance. " +
			"The backups may be fine, but the exporter cannot see them.\nThe exporter's page and log quote the API's error " +
			"and name the missing RAM action. Fix the key, the role or the policy.",
	},
}

var exporterAlerts = []alert{
	{
		name: "StarRocksBackupCredentialsChanged", severity: "warning",
		comment: "For an hour after a change: a provider that the job's account did not use before, though it used another.",
		expr: `
group by (cluster, job, account, provider) (last_over_time(starrocks_backup_credentials_provider_info[` + gap + `]))
unless on (cluster, job, account, provider) last_over_time(starrocks_backup_credentials_provider_info[` + remembered + `] offset 1h)
and on (cluster, job, account) last_over_time(starrocks_backup_credentials_provider_info[` + remembered + `] offset 1h)`,
		summary: "Credentials of account {{ $labels.account }} come from {{ $labels.provider }}",
		description: "The credentials began to come from this provider within the last hour. If nobody changed that on purpose, the exporter " +
			"may read with another identity. The alert ends by itself an hour after the change.",
	},
	{
		name: "StarRocksBackupAPIThrottled", severity: "warning", wait: "30m",
		comment: "By region: in a large fleet, each scrape may find a different instance throttled.",
		expr:    `sum by (cluster, region_id) (starrocks_backup:condition{condition="throttled"}) > 0`,
		summary: "Reads are throttled in {{ $labels.region_id }}",
		description: "Instances that could not be read because of throttling: {{ $value | humanize }}. " +
			"The exporter sees their backups late or not at all.\nLower api.requests_per_second, set api.min_interval, or scrape less often, " +
			"and check who else calls the API with this account.",
	},
	{
		name: "StarRocksBackupDiscoveryFailed", severity: "warning", wait: "10m",
		comment: `A region whose instances cannot be listed, or that lost most of them: instances that are not listed are not watched.
After a change of the number of shards, each finds another share of them.`,
		expr: `
max by (cluster, account, region_id, tags) (
  last_over_time(starrocks_backup_discovered_instances[` + gap + `])
  unless on (cluster, job, instance, account, region_id, tags)
    last_over_time(starrocks_backup_discovery_last_success_timestamp_seconds[` + gap + `]) > time() - 60 * 60
)
or max by (cluster, account, region_id, tags) (
  last_over_time(starrocks_backup_discovered_instances[` + gap + `]) < max_over_time(starrocks_backup_discovered_instances[` +
			remembered + `]) / 2
  unless on (cluster, job, instance)
    max_over_time(starrocks_backup_total_shards[` + remembered + `]) > min_over_time(starrocks_backup_total_shards[` + remembered + `])
)`,
		summary: "Instances of {{ $labels.region_id }} are not listed",
		description: "Account {{ $labels.account }}{{ with $labels.tags }}, tags {{ . }}{{ end }}: " +
			"listing fails, or it returns fewer than half " +
			"of the instances known within the last 26 hours. {{ $value | humanize }} are known; any others are not watched.\n" +
			"The exporter's log says why. If access is denied, the missing RAM action is probably sr:DescribeInstances.",
	},
	{
		name: "StarRocksBackupDiscoveryFailed", severity: "critical", wait: "10m",
		expr:    `max by (cluster, account, region_id, tags) (last_over_time(starrocks_backup_discovery_complete[` + gap + `])) == 0`,
		summary: "Instances of {{ $labels.region_id }} have not been listed since the exporter started",
		description: "Account {{ $labels.account }}{{ with $labels.tags }}, tags {{ . }}{{ end }}: " +
			"nobody watches the instances that only this list names.\n" +
			"The exporter's log says why. If access is denied, the missing RAM action is probably sr:DescribeInstances.",
	},
	{
		name: "StarRocksBackupConfigReloadFailed", severity: "warning", wait: "5m",
		expr: `
(
  max by (cluster, job, instance) (starrocks_backup_exporter_config_last_reload_successful)
  or max by (cluster, job, instance) (last_over_time(starrocks_backup_exporter_config_last_reload_successful[` + remembered + `]))
) == 0
and on (cluster, job, instance) last_over_time(up[` + scrape + `])`,
		summary: "Configuration not reloaded by {{ $labels.instance }}",
		description: "The exporter keeps its previous configuration. Changes since then have no effect, " +
			"and it will not start with this file.\n" +
			"Its log and --config.check name the line.",
	},
}

// exporterDown returns the alert on exporters that do not answer.
func exporterDown(p parameters) (alert, error) {
	const name, usual = "StarRocksBackupExporterDown", "10m"
	wait, err := model.ParseDuration(p.wait(name, "critical", usual))
	if err != nil {
		return alert{}, fmt.Errorf("%s: %w", name, err)
	}
	// The page of the job fires two evaluations and the waiting time after the target is last seen down.
	handover := (wait + model.Duration(610*time.Second)).String()
	quietFor := max(model.Duration(time.Second), wait-model.Duration(10*time.Second)).String()
	return alert{
		name: name, severity: "critical", wait: usual,
		comment: `A target that does not answer. Without the label instance: a job that lacks more exporters than targets are down, because they
are no targets any more; or a change of the number of shards that does not come to an end.
Where one turns into the other, both hold for the time that the alert waits, so that the page goes on.`,
		expr: `
starrocks_backup:exporter:down
or (
  last_over_time(starrocks_backup:exporter:down[` + handover + `])
  unless on (cluster, job, instance) starrocks_backup_exporter_build_info
  and on (cluster, job) starrocks_backup:exporter:missing == 1
)
or (
  starrocks_backup:exporter:missing == 1
  and on (cluster, job) starrocks_backup:condition{condition="unreadable"}
  unless on (cluster, job) (
    (
      count by (cluster, job) (
        starrocks_backup:exporter:down and starrocks_backup:exporter:down offset ` + quietFor + `
        unless on (cluster, job, instance) starrocks_backup_exporter_build_info
      )
      or max by (cluster, job) (last_over_time(starrocks_backup_total_shards[` + remembered + `])) * 0
    )
    + on (cluster, job) (
      count by (cluster, job) (group by (cluster, job, shard) (starrocks_backup_shard_instances))
      or max by (cluster, job) (last_over_time(starrocks_backup_total_shards[` + remembered + `])) * 0
    )
    >= on (cluster, job) (
      max by (cluster, job) (starrocks_backup_total_shards)
      or max by (cluster, job) (last_over_time(starrocks_backup_total_shards[` + remembered + `]))
    )
  )
)
or starrocks_backup:exporter:missing > 1 and on (cluster, job) max_over_time(starrocks_backup:exporter:missing[10m10s] offset 50m) > 1`,
		summary: "Backup exporter down: {{ with $labels.instance }}{{ . }} of {{ end }}{{ $labels.job }}",
		description: "{{ if $labels.instance }}The target does not answer.{{ else }}Exporters are no longer targets, " +
			"some shards do not answer, or shards have disagreed on their number for an hour.{{ end }}\n" +
			"Alerts on their instances stay as they were, for 26 hours at most. Start the exporter again; its log and " +
			"the targets page of Prometheus say why it is down.",
	}, nil
}

var watchdog = alert{
	name: "StarRocksBackupWatchdog", severity: "none", expr: `vector(1)`,
	summary: "Backup alerts arrive",
	description: "This alert always fires. If it stops, Prometheus, Alertmanager or the connection between them is broken, " +
		"and no other alert arrives either.",
}

// wait is how long an alert must hold before it fires.
func (p parameters) wait(name, severity, usual string) string {
	return cmp.Or(p.waits[name+"/"+severity], p.waits[name], usual)
}

func (p parameters) severity(name, usual string) string {
	return cmp.Or(p.severities[name+"/"+usual], p.severities[name], p.severities[usual], usual)
}
