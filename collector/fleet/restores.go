package fleet

import (
	"context"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
)

// ReadRestores reads the history of the restores of each instance.
func ReadRestores(interval time.Duration) OptionalRead {
	return OptionalRead{
		Operation: "ListOperationHistory", Interval: interval,
		read: func(ctx context.Context, t Target, now func() time.Time) (func(*health.Limits), error) {
			at := now()
			var all []apiclient.Operation
			for o, err := range t.Optional.OperationHistory(ctx, t.InstanceID, apiclient.OperationRestore) {
				switch {
				case err != nil:
					return nil, err
				case o.InstanceID == "" || o.InstanceID == t.InstanceID:
					all = append(all, o)
				}
			}
			restores := health.NewRestores(all, at)
			return func(l *health.Limits) { l.Restores = restores }, nil
		},
	}
}
