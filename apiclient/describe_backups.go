package apiclient

import (
	"context"
	"iter"
	"net/url"
	"strconv"
	"strings"
)

func describeBackups() operation[Backup] {
	return operation[Backup]{
		name: "DescribeBackups", path: "/webapi/backup/manage/describe", decode: decodePage[wireBackup, Backup],
		id: func(b *Backup) string { return b.InstanceID + "/" + b.TaskID },
	}
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

	Buffers *BufferPool // where answers are read into; new memory if nil
}

// Backups reads all pages and yields each task once, in the API's order. It decodes a whole page before it yields a task of it.
// An error, always an *Error, is the last thing yielded: the tasks before it are not all there are. A list of more than one instance
// that is shorter than its own Total is an error, too.
func (c *Client) Backups(ctx context.Context, r DescribeBackupsRequest) iter.Seq2[Backup, error] {
	if r.RegionID == "" {
		r.RegionID = c.o.RegionID
	}
	if r.PageSize == 0 {
		r.PageSize = c.o.PageSize
	}
	op := describeBackups()
	op.complete = r.InstanceID == ""
	return pages(ctx, c, op, max(1, r.PageNumber), r.Buffers, r.query)
}

func (r DescribeBackupsRequest) query(page int) url.Values {
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
		"PageNumber": int64(page), "PageSize": int64(r.PageSize),
	} {
		if value != 0 {
			v.Set(name, strconv.FormatInt(value, 10))
		}
	}
	return v
}
