package apiclient_test

import (
	"context"
	"testing"
	"time"

	"starrocks_backup_exporter/apiclient"
	"starrocks_backup_exporter/apiclient/simulator"
)

// Each answer returns its memory, also one that reports a failure: otherwise the next request waits for ever.
func TestAnswersReturnTheirMemory(t *testing.T) {
	s := &script{pages: []string{"3: a", "3: b", "3: c", "", "1: d"}}
	c, _, _ := newClient(t, simulator.Options{}, func(o *apiclient.Options) {
		o.Transport, o.FreshTransport, o.MaxAttempts, o.Memory = s, s, 1, apiclient.NewMemory(8) // one answer takes all of it
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for n, reason := range []apiclient.Reason{"", apiclient.ReasonServerError, ""} {
		var failure error
		for _, err := range c.Backups(ctx, apiclient.DescribeBackupsRequest{}) {
			failure = err
		}
		if (failure != nil) != (reason != "") || failure != nil && apiclient.ReasonOf(failure) != reason {
			t.Errorf("read %d: %v", n, failure)
		}
	}
}
