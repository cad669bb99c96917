package apiclient

import (
	"bytes"
	"context"
	"iter"
	"net/url"
	"strconv"
	"strings"
)

const maxPages = 1000

// DescribeBackupsRequest carries every parameter of DescribeBackups. None is required; what is zero is not sent.
type DescribeBackupsRequest struct {
	RegionID     string // the client's where empty
	InstanceID   string
	BackupTaskID string
	Statuses     []string // in the API's words
	// Whether the API reads them as seconds, and of which field, is unproven: filter locally instead.
	TimePeriodStartTime, TimePeriodEndTime int64
	PageNumber                             int // the first page to read, from 1
	PageSize                               int // the client's where 0

	Bodies *Bodies // where answers are read into; nil: new memory
}

// Bodies is memory for answers, to be used again. The subtasks of backups that were read into it are valid until Reset.
type Bodies struct {
	all  []*bytes.Buffer
	used int
}

// Reset makes the memory free for other answers.
func (b *Bodies) Reset() { b.used = 0 }

// Answers is how many answers were read into it.
func (b *Bodies) Answers() int { return b.used }

func (b *Bodies) next() *bytes.Buffer {
	if b == nil {
		return new(bytes.Buffer)
	}
	if b.used == len(b.all) {
		b.all = append(b.all, new(bytes.Buffer))
	}
	b.used++
	next := b.all[b.used-1]
	next.Reset()
	return next
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

// Backups reads all pages and yields each task once, in the API's order. A page is decoded whole before any task of it
// is yielded. An error, always an *Error, is the last thing yielded: what came before it is not all there is. So is a list of
// more than one instance that is shorter than its own Total.
func (c *Client) Backups(ctx context.Context, r DescribeBackupsRequest) iter.Seq2[Backup, error] {
	if r.RegionID == "" {
		r.RegionID = c.o.RegionID
	}
	if r.PageSize == 0 {
		r.PageSize = c.o.PageSize
	}
	return paged(ctx, c, describeBackups, max(1, r.PageNumber), r.Bodies, r.query, func(p *page) []Backup { return p.backups }, func(b Backup) string { return b.InstanceID + "/" + b.TaskID }, r.InstanceID == "")
}

// paged reads all pages of a call from the first on, and yields each item once, in the API's order. If all, it is an error
// where fewer were listed than Total says there are.
func paged[T any](ctx context.Context, c *Client, op operation, first int, bodies *Bodies, query func(page int) url.Values,
	items func(*page) []T, id func(T) string, all bool,
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		seen := map[string]struct{}{} // items move between pages while they are read
		total := 0
		for n := range maxPages {
			p, err := c.call(ctx, op, n, query(first+n), bodies)
			if err != nil {
				yield(none, err)
				return
			}
			before := len(seen)
			total = max(total, p.total)
			for _, one := range items(p) {
				if _, known := seen[id(one)]; known {
					continue
				}
				seen[id(one)] = struct{}{}
				if !yield(one, nil) {
					return
				}
			}
			// A short page ends nothing: the server may cap its pages below what was asked for.
			if len(seen) == before && len(seen) < total && all {
				yield(none, badResponse(op.name, "%d listed of %d", len(seen), total))
				return
			}
			if len(seen) == before || total > 0 && len(seen) >= total {
				return
			}
		}
		yield(none, badResponse(op.name, "no end after %d pages", maxPages))
	}
}
