package collector

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"golang.org/x/time/rate"

	"starrocks_backup_exporter/apiclient"
	"starrocks_backup_exporter/config"
)

// Builder makes fleets of configurations. What outlives a reload is kept here: the transport, while its settings stay
// the same, and the request limits.
type Builder struct {
	Recorder *apiclient.Recorder // of what the API answers; nil: none

	observer   apiclient.Observer
	now        func() time.Time
	shard      Shard
	transport  http.RoundTripper
	httpClient config.HTTPClient // that transport was made of
	limiters   map[clientKey]*apiclient.Limiter
}

type clientKey struct{ account, regionID string }

// NewBuilder returns a builder of fleets, of which shard is read, whose clients report to observer.
func NewBuilder(observer apiclient.Observer, now func() time.Time, shard Shard) *Builder {
	return &Builder{observer: observer, now: now, shard: shard, limiters: map[clientKey]*apiclient.Limiter{}}
}

// Build makes a fleet. Credentials are made anew, so that secret files are read again. It must not be called concurrently.
func (b *Builder) Build(c *config.Config) (*Fleet, error) {
	if b.transport == nil || !reflect.DeepEqual(b.httpClient, c.API.HTTPClient) {
		t, err := c.API.HTTPClient.Transport()
		if err != nil {
			return nil, fmt.Errorf("api.http_client: %w", err)
		}
		b.transport, b.httpClient = t, c.API.HTTPClient
	}
	credentials := map[string]*apiclient.Credentials{}
	clients := map[clientKey]*apiclient.Client{}
	client := func(account, regionID string) (*apiclient.Client, error) {
		k := clientKey{account, regionID}
		if credentials[k.account] == nil {
			credentials[k.account] = apiclient.NewCredentials(credentialSource(c.Accounts[k.account]))
		}
		if clients[k] == nil {
			client, err := b.client(c.API, k, credentials[k.account])
			if err != nil {
				return nil, err
			}
			clients[k] = client
		}
		return clients[k], nil
	}
	f := &Fleet{
		Shard: b.shard, Concurrency: c.API.Concurrency, RequestsPerSecond: c.API.RequestsPerSecond, PageSize: c.API.PageSize, SubtaskLimit: c.Backups.SubtaskLimit,
	}
	for _, i := range c.Instances {
		lister, err := client(i.Account, i.RegionID)
		if err != nil {
			return nil, err
		}
		f.Targets = append(f.Targets, Target{Instance: i, Lister: lister})
	}
	for _, d := range c.Discovery {
		lister, err := client(d.Account, d.RegionID)
		if err != nil {
			return nil, err
		}
		f.Discoveries = append(f.Discoveries, Discovery{Discovery: d, Lister: lister})
	}
	return f, nil
}

func (b *Builder) client(a config.API, k clientKey, credentials *apiclient.Credentials) (*apiclient.Client, error) {
	limit, burst := rate.Limit(a.RequestsPerSecond), max(1, int(a.RequestsPerSecond))
	limiter := b.limiters[k]
	if limiter == nil {
		limiter = apiclient.NewLimiter(limit, burst)
		b.limiters[k] = limiter
	}
	limiter.Set(limit, burst)
	transport := b.transport
	if b.Recorder != nil {
		transport = b.Recorder.Transport(k.account, transport)
	}
	return apiclient.New(apiclient.Options{
		Endpoint: a.URL(k.regionID), RegionID: k.regionID, Credentials: credentials, Transport: transport,
		Timeout: time.Duration(a.Timeout), MaxAttempts: a.MaxAttempts, PageSize: a.PageSize,
		Limiter: limiter, Observer: b.observer, Now: b.now, Nonce: rand.Text,
	})
}

func credentialSource(a config.Account) apiclient.CredentialSource {
	return apiclient.CredentialSource{
		AccessKeyID: a.AccessKeyID, AccessKeySecret: string(a.AccessKeySecret), AccessKeySecretFile: a.AccessKeySecretFile,
		SecurityToken: string(a.SecurityToken), SecurityTokenFile: a.SecurityTokenFile, RoleARN: a.RoleARN,
	}
}
