package apiclient

import (
	"cmp"
	"context"
	"iter"
	"net/url"
	"strconv"
	"strings"
)

// describeBackups lists the tasks of one instance, or of all instances of a region. A task of one instance may be listed with and without
// its InstanceId.
func describeBackups(instanceID string) operation[Backup] {
	return operation[Backup]{
		name: "DescribeBackups", path: "/webapi/backup/manage/describe", rank: backupRank,
		decode: decodePage[wireBackup, Backup], id: func(b *Backup) itemID { return itemID{cmp.Or(b.InstanceID, instanceID), b.TaskID} },
	}
}

// Acquire waits for a place among the requests in flight, for the first request of a read. The caller passes it to Backups.
func (c *Client) Acquire(ctx context.Context) (*Place, error) {
	return c.acquire(ctx, describeBackups("").rank, 0)
}

// DescribeBackupsRequest carries every parameter of DescribeBackups. None is required. A zero value is not sent.
type DescribeBackupsRequest struct {
	RegionID     string // the client's if empty
	InstanceID   string
	BackupTaskID string
	Statuses     []string // in the API's words
	// It is unproven whether the API reads these as seconds, and which field they filter by. Filter locally instead.
	TimePeriodStartTime, TimePeriodEndTime int64
	PageNumber                             int // the first page to read, from 1
	PageSize                               int // the client's if 0

	Place    *Place      // acquired for the first request; nil if there is none
	Progress *Progress   // told how far the read is; nil if nobody asks
	Known    Fingerprint // of an earlier list, from its Progress
}

// Backups reads all pages and yields each task once, in the API's order. It decodes a whole page before it yields a task of it. A task's
// subtasks are valid until the next task is yielded, unless KeepSubTasks is called.
// An error, an *Error or ErrUnchanged, is the last thing yielded: the tasks before it are not all there are.
func (c *Client) Backups(ctx context.Context, r DescribeBackupsRequest) iter.Seq2[Backup, error] {
	if r.RegionID == "" {
		r.RegionID = c.o.RegionID
	}
	if r.PageSize == 0 {
		r.PageSize = c.o.PageSize
	}
	l := &list[Backup]{
		client: c, op: describeBackups(r.InstanceID), first: max(1, r.PageNumber), size: r.PageSize, key: r.InstanceID,
		place: r.Place, progress: r.Progress, known: r.Known, query: r.query,
	}
	return func(yield func(Backup, error) bool) {
		defer l.release()
		l.read(ctx, func(b Backup, err error) bool {
			b.words = c.o.StatusWords
			b.Status = b.words.of(b.StatusWord)
			return yield(b, err)
		})
	}
}

func (r DescribeBackupsRequest) query(page, size int) url.Values {
	v := url.Values{}
	for name, value := range map[string]string{
		"RegionId": r.RegionID, "InstanceId": r.InstanceID, "BackupTaskId": r.BackupTaskID, "Statuses": strings.Join(r.Statuses, ","),
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	for name, value := range map[string]int64{
		"TimePeriodStartTime": r.TimePeriodStartTime, "TimePeriodEndTime": r.TimePeriodEndTime,
		"PageNumber": int64(page), "PageSize": int64(size),
	} {
		if value != 0 {
			v.Set(name, strconv.FormatInt(value, 10))
		}
	}
	return v
}
