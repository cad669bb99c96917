package simulator

import (
	"reflect"
	"regexp"
	"testing"
	"time"
)

func TestDemoFleetIsDeterministicAndNeverAheadOfItsTime(t *testing.T) {
	id, seen := regexp.MustCompile(`^c-[0-9a-f]{16}$`), map[string]bool{}
	for _, d := range DemoFleet() {
		if !id.MatchString(d.InstanceID) || d.InstanceID != InstanceID(d.Name) || seen[d.InstanceID] {
			t.Errorf("%s has the id %s", d.Name, d.InstanceID)
		}
		seen[d.InstanceID] = true
		for h := range 40 {
			now := testTime.Add(time.Duration(h) * 307 * time.Minute)
			tasks := d.Tasks(now)
			if !reflect.DeepEqual(tasks, d.Tasks(now)) {
				t.Fatalf("%s differs from itself at %v", d.Name, now)
			}
			for _, task := range tasks {
				finish, _ := task.Finish.(int64)
				if task.Start.(int64) > now.UnixMilli() || finish > now.UnixMilli() {
					t.Fatalf("%s at %v has %+v", d.Name, now, task)
				}
			}
		}
	}
}

// Its backups are short-lived, but there is one to restore at any time.
func TestShortRetentionIsNeverWithoutABackup(t *testing.T) {
	for _, d := range DemoFleet() {
		if d.Name != "logs-retention-too-short" {
			continue
		}
		for m := 0; m < 24*60; m += 7 {
			now, restorable := testTime.Add(time.Duration(m)*time.Minute), false
			for _, task := range d.Tasks(now) {
				expire, _ := task.Expire.(int64)
				restorable = restorable || expire > now.UnixMilli()
			}
			if !restorable {
				t.Errorf("nothing at %v", now)
			}
		}
	}
}
