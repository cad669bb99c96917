package health

import (
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/schedule"
)

// With a schedule and a max age of its own, the earlier deadline counts.
func TestTheEarlierDeadlineCounts(t *testing.T) {
	daily, err := schedule.Parse("0 10 * * *", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC)
	b := &apiclient.Backup{Start: start, Finish: start.Add(time.Hour)}
	for name, c := range map[string]struct {
		limits Limits
		want   time.Duration // after start
	}{
		"age alone":      {Limits{MaxAge: 26 * time.Hour}, 27 * time.Hour},
		"schedule alone": {Limits{Schedule: daily, Grace: 2 * time.Hour}, 26 * time.Hour},
		"schedule first": {Limits{MaxAge: 30 * time.Hour, Schedule: daily, Grace: 2 * time.Hour}, 26 * time.Hour},
		"age first":      {Limits{MaxAge: 12 * time.Hour, Schedule: daily, Grace: 2 * time.Hour}, 13 * time.Hour},
	} {
		if got := c.limits.due(startOf(b), endOf(b)).Sub(start); got != c.want {
			t.Errorf("%s: %v after the start, want %v", name, got, c.want)
		}
	}
}
