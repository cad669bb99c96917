package apiclient

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Backup is a backup task, an element of Data in the answer of DescribeBackups. Times and sizes have the exporter's units.
// A time that the API does not give is zero, a size NaN.
type Backup struct {
	TaskID     string            // BackupTaskId
	InstanceID string            // InstanceId
	RegionID   string            // RegionId
	Status     Status            // Status
	StatusWord string            // Status as the API wrote it
	Start      time.Time         // BackupStartTime
	Finish     time.Time         // BackupFinishedTime; a running task may carry one, so the status decides
	Expire     time.Time         // ExpireTime: when the backup's data expires
	DiskBytes  float64           // Size, bytes; NaN if absent
	Instance   *InstanceSnapshot // InstanceSnapshot; nil if absent
	Unreadable []string          // fields that are present but hold no time or size

	subTasks jsontext.Value
	kept     bool // subTasks are not part of an answer any more
	words    StatusWords
}

// InstanceSnapshot is what the instance was when the backup was taken (InstanceSnapshot).
type InstanceSnapshot struct {
	InstanceName, Version, MinorVersion, RunMode, SpecType, VpcID, ResourceGroupID string
}

// SubTask is the backup of one table, an element of SubTasks.
type SubTask struct {
	Database   string    // DataBase
	Table      string    // Table
	Status     Status    // Status
	StatusWord string    // Status as the API wrote it
	Start      time.Time // StartTime
	Finish     time.Time // FinishedTime
	Bytes      float64   // Size, bytes; NaN if absent
	// Unreadable reports that a field is present but holds no time or size.
	Unreadable bool
}

// ListsSubTasks reports whether the API listed subtasks, possibly none. A task without a list says nothing about its tables.
func (b *Backup) ListsSubTasks() bool { return b.subTasks.Kind() == '[' }

// KeepSubTasks makes the subtasks independent of the answer that they came in.
func (b *Backup) KeepSubTasks() {
	if !b.kept {
		b.subTasks, b.kept = b.subTasks.Clone(), true
	}
}

// SetSubTasks sets the subtasks to a JSON array, for programs that make backups of their own.
func (b *Backup) SetSubTasks(array string) { b.subTasks, b.kept = jsontext.Value(array), true }

// DropSubTasks forgets the subtasks: the task then says nothing about its tables.
func (b *Backup) DropSubTasks() { b.subTasks = nil }

// Instance is a StarRocks instance, an element of Data in the answer of DescribeInstances.
type Instance struct {
	InstanceID   string    // InstanceId
	RegionID     string    // RegionId
	InstanceName string    // InstanceName
	Status       string    // InstanceStatus, in the API's words
	RunMode      string    // RunMode: shared_nothing, shared_data, lakehouse
	Created      time.Time // BeginTime; zero if absent
	Tags         map[string]string
	// SubscriptionEnd is ExpireTime, unless PayType says that the instance is not on subscription; zero if absent.
	SubscriptionEnd time.Time
}
