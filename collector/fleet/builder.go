package fleet

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"golang.org/x/time/rate"

	"starrocks_backup_exporter/apiclient"
	"starrocks_backup_exporter/apiclient/recording"
	"starrocks_backup_exporter/config"
)

// Builder makes fleets from configurations. It keeps what outlives a reload: the request limits, and the transport as long as its
// settings stay the same.
type Builder struct {
	Recorder *recording.Recorder // of the API's answers; nil if none

	observer   apiclient.Observer
	now        func() time.Time
	shard      Shard
	transport  http.RoundTripper
	httpClient config.HTTPClient // that transport was made from
	limiters   map[laneKey]*apiclient.Limiter
}

// NewBuilder returns a builder of fleets that read a shard. Their clients report to observer.
func NewBuilder(observer apiclient.Observer, now func() time.Time, shard Shard) *Builder {
	return &Builder{observer: observer, now: now, shard: shard, limiters: map[laneKey]*apiclient.Limiter{}}
}

// Build makes a fleet. It makes credentials anew, so that secret files are read again. It must not be called concurrently.
func (b *Builder) Build(c *config.Config) (*Fleet, error) {
	if b.transport == nil || !reflect.DeepEqual(b.httpClient, c.API.HTTPClient) {
		t, err := c.API.HTTPClient.Transport()
		if err != nil {
			return nil, fmt.Errorf("api.http_client: %w", err)
		}
		b.transport, b.httpClient = t, c.API.HTTPClient
	}
	clients := clientCache{builder: b, config: c, credentials: map[string]*apiclient.Credentials{}, clients: map[laneKey]*apiclient.Client{}}
	f := &Fleet{
		Shard: b.shard, Concurrency: c.API.Concurrency, RequestsPerSecond: c.API.RequestsPerSecond, PageSize: c.API.PageSize,
		SubtaskLimit: c.Backups.SubtaskLimit,
	}
	for _, i := range c.Instances {
		client, err := clients.of(i.Account, i.RegionID)
		if err != nil {
			return nil, err
		}
		f.Targets = append(f.Targets, Target{Instance: i, Lister: client})
	}
	for _, d := range c.Discovery {
		client, err := clients.of(d.Account, d.RegionID)
		if err != nil {
			return nil, err
		}
		f.Discoveries = append(f.Discoveries, &Discovery{Discovery: d, Source: regionSource{d, b.shard, client}, Lister: client})
	}
	return f, nil
}

// clientCache makes one client for each account and region, and one set of credentials for each account.
type clientCache struct {
	builder     *Builder
	config      *config.Config
	credentials map[string]*apiclient.Credentials
	clients     map[laneKey]*apiclient.Client
}

func (c clientCache) of(account, regionID string) (*apiclient.Client, error) {
	k := laneKey{account, regionID}
	if client := c.clients[k]; client != nil {
		return client, nil
	}
	if c.credentials[account] == nil {
		c.credentials[account] = apiclient.NewCredentials(credentialSource(c.config.Accounts[account]))
	}
	client, err := c.builder.client(c.config.API, k, c.credentials[account])
	c.clients[k] = client
	return client, err
}

func (b *Builder) client(a config.API, k laneKey, credentials *apiclient.Credentials) (*apiclient.Client, error) {
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
