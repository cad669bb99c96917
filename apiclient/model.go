package apiclient

import (
	"math"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

const gib = 1 << 30

// Backup is a backup task, an element of Data in the answer of DescribeBackups.
// Units and statuses are the exporter's: a time that the API does not give is zero, a size NaN.
type Backup struct {
	TaskID     string            // BackupTaskId
	InstanceID string            // InstanceId
	RegionID   string            // RegionId
	Status     Status            // Status
	StatusWord string            // Status as the API wrote it
	Start      time.Time         // BackupStartTime
	Finish     time.Time         // BackupFinishedTime; a running task may carry one, so the status decides
	Expire     time.Time         // ExpireTime: when the backup's data is gone
	DiskBytes  float64           // Size, bytes; NaN where absent
	Instance   *InstanceSnapshot // InstanceSnapshot; nil where absent

	subTasks jsontext.Value
	kept     bool // subTasks are not part of an answer any more
}

// InstanceSnapshot is what the instance was when the backup was taken (InstanceSnapshot).
type InstanceSnapshot struct {
	InstanceName, Version, MinorVersion, RunMode, SpecType, VpcID, ResourceGroupID string
}

// SubTask is the backup of one table, an element of SubTasks.
type SubTask struct {
	Database string    // DataBase
	Table    string    // Table
	Status   Status    // Status
	Start    time.Time // StartTime
	Finish   time.Time // FinishedTime
	Bytes    float64   // Size, bytes; NaN where absent
}

// ListsSubTasks reports whether the API listed subtasks at all, be it none:
// a task without a list says nothing about its tables.
func (b *Backup) ListsSubTasks() bool { return b.subTasks.Kind() == '[' }

// KeepSubTasks makes the subtasks independent of the answer that they came in.
func (b *Backup) KeepSubTasks() {
	if !b.kept {
		b.subTasks, b.kept = b.subTasks.Clone(), true
	}
}

// DropSubTasks forgets the subtasks: the task then says nothing about its tables.
func (b *Backup) DropSubTasks() { b.subTasks = nil }

// SubTasks decodes the task's subtasks, which are left raw until asked for: most are never looked at.
func (b *Backup) SubTasks() ([]SubTask, error) {
	if !b.ListsSubTasks() {
		return nil, nil
	}
	var out []SubTask
	d := newDecoder(b.subTasks)
	err := eachElement(d, func() error {
		s, err := decodeSubTask(d)
		out = append(out, s)
		return err
	})
	if err != nil {
		return nil, badResponse(describeBackups.name, "SubTasks of %s: %v", b.TaskID, err)
	}
	return out, nil
}

// epoch reads a time by its magnitude: 1e11 and above is milliseconds, below seconds.
// 0 and less, and what is beyond the year 9999, is no time.
func epoch(n float64) time.Time {
	if !(n > 0) {
		return time.Time{}
	}
	if n < 1e11 {
		n *= 1000
	}
	if n > 253402300799999 {
		return time.Time{}
	}
	return time.UnixMilli(int64(n)).UTC()
}

// bytesOfGiB turns the API's sizes (GiB) into bytes; a negative one is no size.
func bytesOfGiB(n float64) float64 {
	if !(n >= 0) {
		return math.NaN()
	}
	return n * gib
}
