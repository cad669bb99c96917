package collector

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
)

// metrics is the table of metrics, ordered by name.
var metrics = slices.SortedFunc(slices.Values([]metric{
	instanceGauge("up", "1 if every page was read in this scrape, or in an earlier one that api.min_interval allows; else 0.",
		func(r *fleet.InstanceResult) float64 { return boolean(r.Err == nil) }),
	instanceGauge("scrape_duration_seconds", "Time spent reading the instance; 0 if its turn did not come.",
		func(r *fleet.InstanceResult) float64 { return r.Duration.Seconds() }),
	instanceCounter("scrape_errors_total", "Failed reads of the instance by reason.", "reason", apiclient.Reasons(),
		func(r *fleet.InstanceResult) map[apiclient.Reason]int { return r.Totals.Errors }),
	instanceGauge("max_age_seconds", "Configured age at which the newest good backup is overdue.",
		func(r *fleet.InstanceResult) float64 {
			if r.Instance.MaxAge == 0 { // only a schedule counts
				return math.NaN()
			}
			return time.Duration(r.Instance.MaxAge).Seconds()
		}),
	instanceGauge("last_read_timestamp_seconds", "Last complete read of the instance.",
		func(r *fleet.InstanceResult) float64 { return timestamp(r.Totals.LastRead) }),
	instanceCounter("tasks_finished_total", "Tasks seen to finish while the exporter ran, by status.", "status",
		[]apiclient.Status{apiclient.StatusCompleted, apiclient.StatusFailed, apiclient.StatusCanceled},
		func(r *fleet.InstanceResult) map[apiclient.Status]int { return r.Totals.Finished }),

	instanceMetric("read_condition", "Why the instance cannot be read: 1 if the condition holds, 0 if not, absent if unknown.",
		prometheus.GaugeValue, []string{"condition"}, func(r *fleet.InstanceResult, emit func(float64, ...string)) {
			for _, c := range r.ReadConditions() {
				emit(boolean(c.Holds), c.Name)
			}
		}),
	healthGauges("condition", "What is wrong with the instance: 1 if the condition holds, else 0.", []string{"condition"},
		func(r *fleet.InstanceResult, emit func(float64, ...string)) {
			for _, c := range health.Conditions() {
				if holds, known := r.Health.Conditions[c]; known {
					emit(boolean(holds), string(c))
				}
			}
		}),
	statusGauges("tasks", "Backup tasks by status.", func(h *health.Health) map[apiclient.Status]int { return h.Count }),
	statusGauges("last_task_status", "State set: 1 for the status of the newest task (by start time).",
		func(h *health.Health) map[apiclient.Status]int { return map[apiclient.Status]int{h.LastStatus(): 1} }),
	healthGauge("last_task_start_timestamp_seconds", "Start of the newest task.",
		func(h *health.Health) float64 { return timestamp(h.LastStart()) }),
	healthGauge("running_task_start_timestamp_seconds", "Start of the running task that started first.",
		func(h *health.Health) float64 { return timestamp(h.RunningStart) }),
	healthGauge("consecutive_failures", "Tasks that ended without a backup (failed or canceled) since the newest good backup.",
		func(h *health.Health) float64 { return float64(h.ConsecutiveFailures) }),
	healthGauge("last_success_timestamp_seconds", "Finish of the newest good backup.",
		func(h *health.Health) float64 { return timestamp(h.LastSuccess) }),
	healthGauge("last_success_age_seconds", "Time since the newest good backup finished.",
		func(h *health.Health) float64 { return timestamp(h.At) - timestamp(h.LastSuccess) }),
	healthGauge("last_success_duration_seconds", "Finish minus start of the newest good backup.",
		func(h *health.Health) float64 { return h.LastSuccessDuration }),
	healthGauge("last_success_expire_timestamp_seconds", "When the newest good backup expires.",
		func(h *health.Health) float64 { return timestamp(h.LastSuccessExpire) }),
	healthGauge("last_success_disk_size_bytes", "Cloud disk size of the newest good backup, which may be the provisioned disk.",
		func(h *health.Health) float64 { return h.LastSuccessDiskBytes }),
	healthGauge("last_success_data_size_bytes", "Sum of the sizes of the newest good backup's subtasks.",
		func(h *health.Health) float64 { return h.LastSuccessDataBytes }),
	healthGauge("data_size_baseline_bytes", "Largest data size among the seven good backups before the newest: what shrunk compares with.",
		func(h *health.Health) float64 { return h.BaselineBytes }),
	healthGauge("instance_expire_timestamp_seconds",
		"End of the subscription. The instance is released 7 days later, together with its backups.",
		func(h *health.Health) float64 { return timestamp(h.SubscriptionEnd) }),
	healthGauge("last_failure_timestamp_seconds", "Finish (else start) of the newest failed or canceled task.",
		func(h *health.Health) float64 { return timestamp(h.LastFailure) }),
	healthGauge("deadline_timestamp_seconds", "When a newer good backup must have finished.",
		func(h *health.Health) float64 { return timestamp(h.Deadline) }),
	healthGauge("restorable_backups", "Good backups that have not expired.",
		func(h *health.Health) float64 { return float64(h.Restorable) }),
	healthGauge("oldest_restorable_timestamp_seconds", "Earliest finish among the restorable backups.",
		func(h *health.Health) float64 { return timestamp(h.OldestRestorable) }),
	healthGauge("restorable_until_timestamp_seconds", "When the last restorable backup expires.",
		func(h *health.Health) float64 { return timestamp(h.RestorableUntil) }),
	healthGauges("database_size_bytes", "Size of a database in the newest good backup.", []string{"database"},
		func(r *fleet.InstanceResult, emit func(float64, ...string)) {
			for _, d := range r.Health.Databases {
				emit(d.Bytes, shorten(d.Name))
			}
		}),
	tableGauges("subtask_size_bytes", "Size of a table in the newest good backup.",
		func(h *health.Health) []health.Table { return h.Tables }, func(t health.Table) float64 { return t.Bytes }),
	tableGauges("subtask_duration_seconds", "Time from the first start to the last finish of a table's subtasks in the newest good backup.",
		func(h *health.Health) []health.Table { return h.Tables }, func(t health.Table) float64 { return t.DurationSeconds }),
	tableGauges("subtask_failed", "1 for each table that the newest ended task did not back up.",
		func(h *health.Health) []health.Table { return h.FailedTables.Named }, func(health.Table) float64 { return 1 }),
	statusGauges("subtasks", "Subtasks of the newest task by status.",
		func(h *health.Health) map[apiclient.Status]int { return h.SubTasks }),
	healthGauge("subtasks_dropped", "Tables of the newest good backup left out by backups.subtask_limit.",
		func(h *health.Health) float64 { return float64(h.TablesDropped) }),
	healthGauges("instance_info", "1; properties of the instance at its newest backup task.",
		[]string{"instance_name", "version", "minor_version", "run_mode", "spec_type", "vpc_id", "resource_group_id", "account"},
		func(r *fleet.InstanceResult, emit func(float64, ...string)) {
			if s := r.Health.Snapshot; s != nil {
				emit(1, shorten(s.InstanceName), shorten(s.Version), shorten(s.MinorVersion), shorten(s.RunMode), shorten(s.SpecType),
					shorten(s.VpcID), shorten(s.ResourceGroupID), r.Instance.Account)
			}
		}),

	limitGauge("policies", "Backup policies of the instance.", func(l *health.Limits) float64 {
		if l.Policies == nil {
			return math.NaN()
		}
		return float64(len(l.Policies.All))
	}),
	instanceMetric("policy_info", "1 for each backup policy of the instance.", prometheus.GaugeValue,
		[]string{"policy_id", "hour", "minute", "recurrence"}, func(r *fleet.InstanceResult, emit func(float64, ...string)) {
			if p := r.Limits.Policies; p != nil {
				for _, one := range p.All {
					emit(1, shorten(one.PolicyID), shorten(one.Hour), shorten(one.Minute), shorten(strings.Join(one.Recurrence, ",")))
				}
			}
		}),
	limitGauge("policy_expire_days", "Days that backups last, by the policy that keeps them shortest.",
		func(l *health.Limits) float64 { return l.Policies.ExpireDays() }),
	limitGauge("policy_timeout_seconds", "How long a task may run, by the policy that waits longest.",
		func(l *health.Limits) float64 { return l.Policies.TimeoutSeconds() }),
	limitGauge("policies_last_read_timestamp_seconds", "Last complete read of the backup policies.",
		func(l *health.Limits) float64 {
			if l.Policies == nil {
				return math.NaN()
			}
			return timestamp(l.Policies.ReadAt)
		}),
	limitGauge("last_restore_timestamp_seconds", "Finish (else start) of the newest completed restore.",
		func(l *health.Limits) float64 {
			if l.Restores == nil {
				return math.NaN()
			}
			return timestamp(l.Restores.Last)
		}),
	limitGauge("last_restore_duration_seconds", "Finish minus start of the newest completed restore.",
		func(l *health.Limits) float64 {
			if l.Restores == nil {
				return math.NaN()
			}
			return l.Restores.LastDuration
		}),
	instanceMetric("restores", "Restores in the history of the instance by status.", prometheus.GaugeValue, []string{"status"},
		func(r *fleet.InstanceResult, emit func(float64, ...string)) {
			for _, s := range apiclient.Statuses() {
				if r.Limits.Restores != nil {
					emit(float64(r.Limits.Restores.Count[s]), string(s))
				}
			}
		}),
	resultMetric("optional_reads_errors_total", "Failed reads of policies and restores by operation and reason.", prometheus.CounterValue,
		[]string{"operation", "reason"}, func(r *fleet.Result, emit func(float64, ...string)) {
			for _, o := range r.Optional {
				for _, reason := range apiclient.Reasons() {
					emit(float64(o.Errors[reason]), o.Operation, string(reason))
				}
			}
		}),

	resultMetric("scrape_deadline_seconds", "Time that this scrape had to finish.", prometheus.GaugeValue, nil,
		func(r *fleet.Result, emit func(float64, ...string)) {
			if r.Deadline > 0 {
				emit(r.Deadline.Seconds())
			}
		}),
	resultMetric("api_budget_seconds",
		"Time that the requests of a scrape take at api.requests_per_second. It must be below the scrape deadline.",
		prometheus.GaugeValue, []string{"account", "region_id"}, func(r *fleet.Result, emit func(float64, ...string)) {
			for _, t := range r.RequestTimes {
				emit(t.Time.Seconds(), t.Account, t.RegionID)
			}
		}),
	resultMetric("shard_instances", "Instances that this shard reads.", prometheus.GaugeValue, []string{"shard", "total_shards"},
		func(r *fleet.Result, emit func(float64, ...string)) {
			emit(float64(len(r.Instances)), strconv.Itoa(r.Shard.Index), strconv.Itoa(max(1, r.Shard.Total)))
		}),
	resultMetric("total_shards", "Number of shards of the fleet.", prometheus.GaugeValue, nil,
		func(r *fleet.Result, emit func(float64, ...string)) { emit(float64(max(1, r.Shard.Total))) }),
	resultMetric("credentials_provider_info", "1; where the credentials in use come from.", prometheus.GaugeValue, []string{
		"account",
		"provider",
	},
		func(r *fleet.Result, emit func(float64, ...string)) {
			for _, c := range r.Credentials {
				emit(1, c.Account, c.Provider)
			}
		}),
	discoveryMetric("discovery_complete",
		"1 if the instances of the region were listed in full since the exporter started, or since the entry was configured, else 0.",
		prometheus.GaugeValue, "", func(d *fleet.DiscoveryResult, emit func(float64, string)) { emit(boolean(!d.LastSuccess.IsZero()), "") }),
	discoveryMetric("discovered_instances", "Instances of this shard found in a region.", prometheus.GaugeValue, "",
		func(d *fleet.DiscoveryResult, emit func(float64, string)) { emit(float64(d.Instances), "") }),
	discoveryMetric("discovery_left_out_instances",
		"Instances found but not watched, by reason: run_mode (it cannot have backups), status (it does not exist yet, or no longer exists), "+
			"excluded (by the configuration).",
		prometheus.GaugeValue, "reason", func(d *fleet.DiscoveryResult, emit func(float64, string)) {
			for _, reason := range fleet.LeftOutReasons() {
				emit(float64(d.LeftOut[reason]), string(reason))
			}
		}),
	discoveryMetric("discovery_last_success_timestamp_seconds", "Last complete list of the instances of a region.",
		prometheus.GaugeValue, "",
		func(d *fleet.DiscoveryResult, emit func(float64, string)) { emit(timestamp(d.LastSuccess), "") }),
	discoveryMetric("discovery_errors_total", "Failed lists of a region's instances by reason.", prometheus.CounterValue, "reason",
		func(d *fleet.DiscoveryResult, emit func(float64, string)) {
			for _, reason := range apiclient.Reasons() {
				emit(float64(d.Errors[reason]), string(reason))
			}
		}),
	discoveryMetric("discovery_reads_each_instance",
		"1 if listing: region is suspended because it failed or lacked something, else 0.",
		prometheus.GaugeValue, "", func(d *fleet.DiscoveryResult, emit func(float64, string)) { emit(boolean(d.ReadsEach), "") }),
}), func(a, b metric) int { return cmp.Compare(a.name, b.name) })

func timestamp(t time.Time) float64 {
	if t.IsZero() {
		return math.NaN()
	}
	return float64(t.UnixMilli()) / 1000
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
