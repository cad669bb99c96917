package apiclient

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"

	"github.com/alibabacloud-go/tea/tea"
	"github.com/aliyun/credentials-go/credentials"
	"github.com/aliyun/credentials-go/credentials/providers"
	"golang.org/x/sync/singleflight"
)

// Credential is what a request is signed with.
type Credential struct {
	AccessKeyID, AccessKeySecret, SecurityToken string
}

// String keeps the secrets out of every log and error.
func (c Credential) String() string { return "<secret>" }

// GoString does the same for %#v.
func (c Credential) GoString() string { return c.String() }

// CredentialSource says where an account's credentials come from. Without an access key it is the default chain: environment, OIDC,
// CLI profile, shared profile, ECS RAM role, credentials URI.
type CredentialSource struct {
	AccessKeyID         string
	AccessKeySecret     string
	AccessKeySecretFile string // instead of AccessKeySecret; read again at each renewal
	SecurityToken       string
	SecurityTokenFile   string // instead of SecurityToken; read again at each renewal
	RoleARN             string // role to assume
}

// Credentials provides an account's current credential. It isolates the requests from the vendor's library, whose providers take no
// context, must not be called concurrently, never recover from a first failure, and put secrets into their errors.
type Credentials struct {
	build  func() (credentials.Credential, error)
	flight singleflight.Group // one call of the library at a time

	mu       sync.Mutex
	provider credentials.Credential // nil if it must be built
	last     *Credential            // the last good one, until the API rejects it
}

// NewCredentials returns the credentials of a source. It reads nothing before the first Get.
func NewCredentials(s CredentialSource) *Credentials {
	return &Credentials{build: s.provider}
}

// Get returns the current credential, which it renews when necessary. If a renewal fails, the last good credential stays in use until
// the API rejects it. Get returns when ctx ends, even if the library does not.
func (c *Credentials) Get(ctx context.Context) (Credential, error) {
	result := c.flight.DoChan("", func() (any, error) { return c.renew() })
	select {
	case <-ctx.Done():
		return Credential{}, ctx.Err()
	case r := <-result:
		if r.Err != nil {
			return Credential{}, r.Err
		}
		return r.Val.(Credential), nil
	}
}

// Reject reports that the API rejected a credential. The next Get starts from the source again.
func (c *Credentials) Reject(rejected Credential) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil && *c.last == rejected {
		c.last, c.provider = nil, nil
	}
}

func (c *Credentials) renew() (Credential, error) {
	c.mu.Lock()
	provider := c.provider
	c.mu.Unlock()

	got, err := fetch(&provider, c.build)

	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.provider, c.last = provider, &got
		return got, nil
	}
	c.provider = nil // the library's default chain would ask only its last provider again
	if c.last != nil {
		return *c.last, nil
	}
	return Credential{}, redact(err)
}

// fetch asks the provider, which it builds if there is none. It calls only GetCredential: the library's separate getters can mix two
// rotations.
func fetch(provider *credentials.Credential, build func() (credentials.Credential, error)) (got Credential, err error) {
	defer func() {
		if recover() != nil { // the library dereferences fields that a token service left out
			err = errors.New("the provider panicked")
		}
	}()
	if *provider == nil {
		if *provider, err = build(); err != nil {
			return got, err
		}
	}
	m, err := (*provider).GetCredential()
	if err != nil {
		return got, err
	}
	got = Credential{tea.StringValue(m.AccessKeyId), tea.StringValue(m.AccessKeySecret), tea.StringValue(m.SecurityToken)}
	if got.AccessKeyID == "" || got.AccessKeySecret == "" {
		return got, errors.New("the provider gave an empty access key")
	}
	return got, nil
}

func (s CredentialSource) provider() (credentials.Credential, error) {
	if s.AccessKeyID == "" {
		if s.RoleARN == "" {
			return credentials.NewCredential(nil)
		}
		role, err := providers.NewRAMRoleARNCredentialsProviderBuilder().
			WithCredentialsProvider(providers.NewDefaultCredentialsProvider()).WithRoleArn(s.RoleARN).Build()
		if err != nil {
			return nil, err
		}
		return credentials.FromCredentialsProvider("ram_role_arn", role), nil
	}
	secret, err := valueOrFile(s.AccessKeySecret, s.AccessKeySecretFile)
	if err != nil {
		return nil, err
	}
	token, err := valueOrFile(s.SecurityToken, s.SecurityTokenFile)
	if err != nil {
		return nil, err
	}
	c := (&credentials.Config{}).SetAccessKeyId(s.AccessKeyID).SetAccessKeySecret(secret).SetSecurityToken(token)
	switch {
	case s.RoleARN != "":
		c.SetType("ram_role_arn").SetRoleArn(s.RoleARN)
	case token != "":
		c.SetType("sts")
	default:
		c.SetType("access_key")
	}
	return credentials.NewCredential(c)
}

func valueOrFile(value, file string) (string, error) {
	if file == "" {
		return value, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)), nil
}

// tokenServiceFault matches an error of the token service. Only the host of its URL is harmless, and only these characters of the cause.
var tokenServiceFault = regexp.MustCompile(`"https://(sts[a-z0-9.-]*)[/?][^"]*": ([A-Za-z0-9 .:>\[\]-]{1,160})`)

// tokenServiceCode matches an error code that the token service returned.
var tokenServiceCode = regexp.MustCompile(`"Code"\s*:\s*"([A-Za-z][A-Za-z0-9._]{0,80})"`)

// redact reduces a credential error to what is known to be harmless. The library's own text is not: it quotes a malformed CLI profile
// with its secrets.
func redact(err error) error {
	if file, ok := errors.AsType[*os.PathError](err); ok {
		return fmt.Errorf("no credentials: %w", file)
	}
	if m := tokenServiceCode.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("no credentials: the token service says %s", m[1])
	}
	if m := tokenServiceFault.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("no credentials: the token service %s does not answer: %s", m[1], m[2])
	}
	if strings.Contains(err.Error(), "providers in the chain") {
		return errors.New("no credentials: no provider of the default chain " +
			"(environment, OIDC, CLI profile, shared profile, ECS RAM role, credentials URI) has any" + chainHint())
	}
	return errors.New("no credentials: the provider failed (its message may contain secrets and is left out)")
}

// chainHint says what the environment lacks if it was meant to provide credentials.
func chainHint() string {
	complete := func(names ...string) string {
		for _, needed := range names[1:] {
			if os.Getenv(names[0]) != "" && os.Getenv(needed) == "" {
				return fmt.Sprintf("; %s is set, %s is not", names[0], needed)
			}
		}
		return ""
	}
	hint := complete("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET") +
		complete("ALIBABA_CLOUD_OIDC_TOKEN_FILE", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "ALIBABA_CLOUD_ROLE_ARN")
	if file := os.Getenv("ALIBABA_CLOUD_OIDC_TOKEN_FILE"); file != "" {
		if _, err := os.Stat(file); err != nil {
			hint += fmt.Sprintf("; the OIDC token: %v", err)
		}
	}
	return hint
}
