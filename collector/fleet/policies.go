package fleet

import (
	"context"
	"errors"
	"slices"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
)

// ReadPolicies reads the backup policies of each instance.
func ReadPolicies(interval time.Duration) OptionalRead {
	const operation = "DescribeBackupPolicies"
	return OptionalRead{
		Subject: "backup policies", Operation: operation, Interval: interval,
		await: func(l *health.Limits) { l.PoliciesAwaited = true },
		read: func(ctx context.Context, t Target, now func() time.Time) (func(*health.Limits), error) {
			policies := &health.Policies{ReadAt: now()}
			foreign := false
			for p, err := range t.Optional.BackupPolicies(ctx, t.InstanceID) {
				switch {
				case err != nil:
					return nil, err
				case p.InstanceID != "" && p.InstanceID != t.InstanceID:
					foreign = true
				case !slices.ContainsFunc(policies.All, func(o apiclient.BackupPolicy) bool { return o.PolicyID == p.PolicyID }):
					policies.All = append(policies.All, p)
				}
			}
			if foreign && len(policies.All) == 0 { // that would say that the instance has none
				return nil, &apiclient.Error{
					Operation: operation, Reason: apiclient.ReasonBadResponse, Err: errors.New("only policies of other instances are listed"),
				}
			}
			return func(l *health.Limits) { l.Policies = policies }, nil
		},
	}
}
