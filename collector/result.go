package collector

import (
	"time"

	"starrocks_backup_exporter/apiclient"
	"starrocks_backup_exporter/config"
)

// Result is a finished scrape: plain values, one InstanceResult per configured instance, in the configuration's order.
type Result struct {
	At          time.Time
	Deadline    time.Duration // that the scrape had; 0: none
	Shard       Shard
	Instances   []InstanceResult
	Discoveries []DiscoveryResult
	Budgets     []Budget
	Settled     bool // since the exporter started, every region to be discovered has been listed in full
}

// InstanceResult is one instance in a Result. Either Err or Health is set.
type InstanceResult struct {
	Instance config.Instance
	Err      error         // why the instance could not be read in full
	Duration time.Duration // of reading it; 0 where its turn did not come
	Health   *Health
	Totals   InstanceTotals
}

// Reason says why the instance could not be read; empty where it could.
func (r *InstanceResult) Reason() apiclient.Reason {
	if r.Err == nil {
		return ""
	}
	return apiclient.ReasonOf(r.Err)
}
