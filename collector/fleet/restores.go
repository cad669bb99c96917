package fleet

import (
	"context"
	"slices"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
)

const listOperationHistory = "ListOperationHistory"

// ReadRestores reads the history of the restores of each instance.
func ReadRestores(interval time.Duration) OptionalRead {
	return OptionalRead{
		Subject: "restores", Operation: listOperationHistory, Interval: interval,
		read: func(ctx context.Context, t Target, now func() time.Time) (func(*health.Limits), error) {
			at := now()
			all, err := operations(ctx, t, apiclient.OperationRestore)
			restores := health.NewRestores(all, at)
			return func(l *health.Limits) { l.Restores = restores }, err
		},
	}
}

// ReadCancellations reads what canceled the backups of each instance that has one that ended as canceled. StarRocks ends a job that failed
// in that way, too.
func ReadCancellations(interval time.Duration) OptionalRead {
	return OptionalRead{
		Subject: "cancellations", Operation: listOperationHistory, Interval: interval,
		findTrigger: func(f *health.Facts) string {
			if i := slices.IndexFunc(f.Tasks, func(t health.Task) bool { return t.Status == apiclient.StatusCanceled }); i >= 0 {
				return f.Tasks[i].ID
			}
			return ""
		},
		read: func(ctx context.Context, t Target, now func() time.Time) (func(*health.Limits), error) {
			c := &health.Cancellations{ReadAt: now()}
			for _, operationType := range []string{apiclient.OperationCancelBackup, apiclient.OperationDeleteBackup} {
				all, err := operations(ctx, t, operationType)
				if err != nil {
					return nil, err
				}
				c.All = append(c.All, all...)
			}
			return func(l *health.Limits) { l.Cancellations = c }, nil
		},
	}
}

// operations returns the operations of one type on an instance.
func operations(ctx context.Context, t Target, operationType string) (all []apiclient.Operation, err error) {
	for o, err := range t.Optional.OperationHistory(ctx, t.InstanceID, operationType) {
		switch {
		case err != nil:
			return nil, err
		case o.InstanceID == "" || o.InstanceID == t.InstanceID:
			all = append(all, o)
		}
	}
	return all, nil
}
