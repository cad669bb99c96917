package collector

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"starrocks_backup_exporter/apiclient"
)

const namespace = "starrocks_backup_"

// metric is one row of the tables below, and where its series come from.
type metric struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string // beside those of the instance
	order      []int    // of all labels by name: indexes into labels, or one of the two below
	// These emit the metric's series with the values of its own labels: those of an instance, or of all at once. A value that
	// is NaN is not known and left out.
	series func(r *InstanceResult, emit func(value float64, labels ...string))
	whole  func(r *Result, emit func(value float64, labels ...string))
}

const (
	theInstanceID = -2
	theRegionID   = -1
)

func row(name, help string, kind prometheus.ValueType, labels []string, series func(*InstanceResult, func(float64, ...string))) metric {
	all := append([]string{instanceIDLabel, regionIDLabel}, labels...)
	order := make([]int, len(all))
	for i := range order {
		order[i] = i - 2
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(all[a+2], all[b+2]) })
	return metric{namespace + name, help, kind, labels, order, series, nil}
}

// whole is a metric of all that one scrape read, with labels, given in order, of its own only.
func whole(name, help string, kind prometheus.ValueType, labels []string, series func(*Result, func(float64, ...string))) metric {
	order := make([]int, len(labels))
	for i := range order {
		order[i] = i
	}
	return metric{namespace + name, help, kind, labels, order, nil, series}
}

// ofDiscovery is a metric of each discovery.
func ofDiscovery(name, help string, kind prometheus.ValueType, label string, series func(d *DiscoveryResult, emit func(value float64, label string))) metric {
	labels := []string{"account", "region_id", "tags"}
	if label != "" {
		labels = []string{"account", label, "region_id", "tags"}
	}
	return whole(name, help, kind, labels, func(r *Result, emit func(float64, ...string)) {
		for i := range r.Discoveries {
			d := &r.Discoveries[i]
			series(d, func(value float64, own string) {
				if label == "" {
					emit(value, d.Account, d.RegionID, d.Tags)
				} else {
					emit(value, d.Account, own, d.RegionID, d.Tags)
				}
			})
		}
	})
}

// always is a gauge that is there whether the instance could be read or not.
func always(name, help string, value func(*InstanceResult) float64) metric {
	return row(name, help, prometheus.GaugeValue, nil, func(r *InstanceResult, emit func(float64, ...string)) { emit(value(r)) })
}

// counted is a counter, always there, from 0.
func counted[K ~string](name, help, label string, keys []K, counts func(*InstanceResult) map[K]int) metric {
	return row(name, help, prometheus.CounterValue, []string{label}, func(r *InstanceResult, emit func(float64, ...string)) {
		for _, k := range keys {
			emit(float64(counts(r)[k]), string(k))
		}
	})
}

// read is a gauge that is there where the instance was read.
func read(name, help string, value func(*Health) float64) metric {
	return each(name, help, nil, func(r *InstanceResult, emit func(float64, ...string)) { emit(value(r.Health)) })
}

// each is a gauge with labels of its own, there where the instance was read.
func each(name, help string, labels []string, series func(*InstanceResult, func(float64, ...string))) metric {
	return row(name, help, prometheus.GaugeValue, labels, func(r *InstanceResult, emit func(float64, ...string)) {
		if r.Health != nil {
			series(r, emit)
		}
	})
}

// byStatus is a gauge with one series for each status, zeros too; none at all where counts is nil.
func byStatus(name, help string, counts func(*Health) map[apiclient.Status]int) metric {
	return each(name, help, []string{"status"}, func(r *InstanceResult, emit func(float64, ...string)) {
		m := counts(r.Health)
		for _, s := range apiclient.Statuses() {
			if m != nil {
				emit(float64(m[s]), string(s))
			}
		}
	})
}

// byTable is a gauge with one series for each table.
func byTable(name, help string, tables func(*Health) []Table, value func(Table) float64) metric {
	return each(name, help, []string{"database", "table"}, func(r *InstanceResult, emit func(float64, ...string)) {
		for _, t := range tables(r.Health) {
			emit(value(t), t.Database, t.Name)
		}
	})
}

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

// metrics is the table, in the order of their names.
var metrics = slices.SortedFunc(slices.Values([]metric{
	always("up", "1 where every page of the instance's backups was read in this scrape, else 0.",
		func(r *InstanceResult) float64 { return boolean(r.Err == nil) }),
	always("scrape_duration_seconds", "Time to read the instance; 0 where its turn did not come.",
		func(r *InstanceResult) float64 { return r.Duration.Seconds() }),
	counted("scrape_errors_total", "Failed reads of the instance by reason.", "reason", apiclient.Reasons(),
		func(r *InstanceResult) map[apiclient.Reason]int { return r.Totals.Errors }),
	always("max_age_seconds", "Configured: older than this, the newest good backup is overdue.",
		func(r *InstanceResult) float64 {
			if r.Instance.MaxAge == 0 { // only a schedule counts
				return math.NaN()
			}
			return time.Duration(r.Instance.MaxAge).Seconds()
		}),
	always("last_read_timestamp_seconds", "When the instance was last read in full.",
		func(r *InstanceResult) float64 { return timestamp(r.Totals.LastRead) }),
	counted("tasks_finished_total", "Tasks seen to end while the exporter ran, by status.", "status",
		[]apiclient.Status{apiclient.StatusCompleted, apiclient.StatusFailed, apiclient.StatusCanceled},
		func(r *InstanceResult) map[apiclient.Status]int { return r.Totals.Finished }),

	each("condition", "What is wrong with the instance: 1 where the condition holds at this read, else 0.", []string{"condition"},
		func(r *InstanceResult, emit func(float64, ...string)) {
			for _, c := range Conditions() {
				emit(boolean(r.Health.Conditions[c]), string(c))
			}
		}),
	byStatus("tasks", "Backup tasks by status.", func(h *Health) map[apiclient.Status]int { return h.Tasks }),
	byStatus("last_task_status", "State set: 1 for the status of the newest task (by start time).",
		func(h *Health) map[apiclient.Status]int { return map[apiclient.Status]int{h.LastStatus: 1} }),
	read("last_task_start_timestamp_seconds", "Start of the newest task.", func(h *Health) float64 { return timestamp(h.LastStart) }),
	read("running_task_start_timestamp_seconds", "Start of the running task that started first.",
		func(h *Health) float64 { return timestamp(h.RunningStart) }),
	read("consecutive_failures", "Failed tasks since the newest completed one.",
		func(h *Health) float64 { return float64(h.ConsecutiveFailures) }),
	read("last_success_timestamp_seconds", "Finish of the newest completed task.",
		func(h *Health) float64 { return timestamp(h.LastSuccess) }),
	read("last_success_age_seconds", "Time since the newest completed task finished.",
		func(h *Health) float64 { return timestamp(h.At) - timestamp(h.LastSuccess) }),
	read("last_success_duration_seconds", "Finish minus start of the newest completed task.",
		func(h *Health) float64 { return h.LastSuccessDuration }),
	read("last_success_expire_timestamp_seconds", "When the newest completed task's backup expires.",
		func(h *Health) float64 { return timestamp(h.LastSuccessExpire) }),
	read("last_success_disk_size_bytes", "Cloud disk size of the newest completed task, which may be the provisioned disk.",
		func(h *Health) float64 { return h.LastSuccessDiskBytes }),
	read("last_success_data_size_bytes", "Sum of the sizes of the newest completed task's subtasks.",
		func(h *Health) float64 { return h.LastSuccessDataBytes }),
	read("last_failure_timestamp_seconds", "Finish (else start) of the newest failed task.",
		func(h *Health) float64 { return timestamp(h.LastFailure) }),
	read("deadline_timestamp_seconds", "When a newer good backup must have finished.",
		func(h *Health) float64 { return timestamp(h.Deadline) }),
	read("restorable_backups", "Backups that are completed and not expired.", func(h *Health) float64 { return float64(h.Restorable) }),
	read("oldest_restorable_timestamp_seconds", "How far back one can restore: the earliest finish among the restorable backups.",
		func(h *Health) float64 { return timestamp(h.OldestRestorable) }),
	read("restorable_until_timestamp_seconds", "When the last restorable backup expires.",
		func(h *Health) float64 { return timestamp(h.RestorableUntil) }),
	each("database_size_bytes", "Size of a database in the newest completed task.", []string{"database"},
		func(r *InstanceResult, emit func(float64, ...string)) {
			for _, database := range slices.Sorted(maps.Keys(r.Health.Databases)) {
				emit(r.Health.Databases[database], database)
			}
		}),
	byTable("subtask_size_bytes", "Size of a table in the newest completed task.",
		func(h *Health) []Table { return h.Tables }, func(t Table) float64 { return t.Bytes }),
	byTable("subtask_duration_seconds", "Backup of a table in the newest completed task, first start to last finish.",
		func(h *Health) []Table { return h.Tables }, func(t Table) float64 { return t.DurationSeconds }),
	byTable("subtask_failed", "1 for each table whose backup failed in the newest task that has ended.",
		func(h *Health) []Table { return h.FailedTables }, func(Table) float64 { return 1 }),
	byStatus("subtasks", "Subtasks of the newest task by status.", func(h *Health) map[apiclient.Status]int { return h.SubTasks }),
	read("subtasks_dropped", "Tables of the newest completed task left out by backups.subtask_limit.",
		func(h *Health) float64 { return float64(h.TablesDropped) }),
	each("instance_info", "1; what the instance was when its newest backup task was made.",
		[]string{"instance_name", "version", "minor_version", "run_mode", "spec_type", "vpc_id", "resource_group_id", "account"},
		func(r *InstanceResult, emit func(float64, ...string)) {
			if s := r.Health.Snapshot; s != nil {
				emit(1, s.InstanceName, s.Version, s.MinorVersion, s.RunMode, s.SpecType, s.VpcID, s.ResourceGroupID, r.Instance.Account)
			}
		}),

	whole("scrape_deadline_seconds", "Time that this scrape had.", prometheus.GaugeValue, nil, func(r *Result, emit func(float64, ...string)) {
		if r.Deadline > 0 {
			emit(r.Deadline.Seconds())
		}
	}),
	whole("api_budget_seconds", "Time that the requests of a scrape take at api.requests_per_second. It must be below the scrape's deadline.",
		prometheus.GaugeValue, []string{"account", "region_id"}, func(r *Result, emit func(float64, ...string)) {
			for _, b := range r.Budgets {
				emit(b.Time.Seconds(), b.Account, b.RegionID)
			}
		}),
	whole("shard_instances", "Instances that this shard reads.", prometheus.GaugeValue, []string{"shard", "total_shards"},
		func(r *Result, emit func(float64, ...string)) {
			emit(float64(len(r.Instances)), strconv.Itoa(r.Shard.Index), strconv.Itoa(max(1, r.Shard.Total)))
		}),
	ofDiscovery("discovered_instances", "Instances found in a region, of this shard.", prometheus.GaugeValue, "",
		func(d *DiscoveryResult, emit func(float64, string)) { emit(float64(d.Instances), "") }),
	ofDiscovery("discovery_left_out_instances", "Instances found but not watched: run_mode, for only shared-nothing instances can have backups; status, for it is not there yet or any more.",
		prometheus.GaugeValue, "reason", func(d *DiscoveryResult, emit func(float64, string)) {
			for _, reason := range []leftOut{leftOutRunMode, leftOutStatus} {
				emit(float64(d.LeftOut[reason]), string(reason))
			}
		}),
	ofDiscovery("discovery_last_success_timestamp_seconds", "When the instances of a region were last listed.", prometheus.GaugeValue, "",
		func(d *DiscoveryResult, emit func(float64, string)) { emit(timestamp(d.LastSuccess), "") }),
	ofDiscovery("discovery_errors_total", "Failed lists of a region's instances by reason.", prometheus.CounterValue, "reason",
		func(d *DiscoveryResult, emit func(float64, string)) {
			for _, reason := range apiclient.Reasons() {
				emit(float64(d.Errors[reason]), string(reason))
			}
		}),
	ofDiscovery("discovery_reads_each_instance", "1 where listing: region is given up for now, for it lacked something, is not served or failed, else 0.",
		prometheus.GaugeValue, "", func(d *DiscoveryResult, emit func(float64, string)) { emit(boolean(d.ReadsEach), "") }),
}), func(a, b metric) int { return cmp.Compare(a.name, b.name) })
