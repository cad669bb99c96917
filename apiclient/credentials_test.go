package apiclient

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aliyun/credentials-go/credentials"
)

type fakeProvider struct {
	credentials.Credential
	get func() (*credentials.CredentialModel, error)
}

func (p fakeProvider) GetCredential() (*credentials.CredentialModel, error) { return p.get() }

func gives(id string) func() (*credentials.CredentialModel, error) {
	return func() (*credentials.CredentialModel, error) {
		return (&credentials.CredentialModel{}).SetAccessKeyId(id).SetAccessKeySecret("secret"), nil
	}
}

func fails() (*credentials.CredentialModel, error) { return nil, errors.New("canary-secret") }

// script makes credentials whose n-th built provider is the n-th given.
func script(providers ...func() (*credentials.CredentialModel, error)) *Credentials {
	n := 0
	return &Credentials{build: func() (credentials.Credential, error) {
		p := fakeProvider{get: providers[min(n, len(providers)-1)]}
		n++
		return p, nil
	}}
}

func TestCredentialsChainIsBuiltAnewAfterFailure(t *testing.T) {
	c := script(fails, gives("second"))
	if _, err := c.Get(t.Context()); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("error %v", err)
	}
	if got, err := c.Get(t.Context()); err != nil || got.AccessKeyID != "second" {
		t.Errorf("got %q, %v", got.AccessKeyID, err)
	}
}

func TestCredentialsChainIsBuiltAnewAfterAFailedRenewal(t *testing.T) {
	working := true
	c := script(func() (*credentials.CredentialModel, error) {
		if working {
			return gives("first")()
		}
		return fails()
	}, gives("second"))
	for _, want := range []string{"first", "first", "second"} {
		if got, err := c.Get(t.Context()); err != nil || got.AccessKeyID != want {
			t.Errorf("got %q, %v, want %q", got.AccessKeyID, err, want)
		}
		working = false
	}
}

func TestCredentialsKeepTheLastGoodUntilRejected(t *testing.T) {
	working := true
	c := script(func() (*credentials.CredentialModel, error) {
		if working {
			return gives("first")()
		}
		return fails()
	})
	first, err := c.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	working = false
	if got, err := c.Get(t.Context()); err != nil || got != first {
		t.Errorf("a failed renewal lost the credential: %v", err)
	}
	c.Reject(Credential{AccessKeyID: "another"})
	if _, err := c.Get(t.Context()); err != nil {
		t.Errorf("another's rejection lost the credential: %v", err)
	}
	c.Reject(first)
	if _, err := c.Get(t.Context()); err == nil {
		t.Error("a rejected credential still serves")
	}
}

func TestCredentialsGiveUpWithTheContextAndNeverRunTwice(t *testing.T) {
	release := make(chan struct{})
	var running, most atomic.Int32
	c := script(func() (*credentials.CredentialModel, error) {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		<-release
		return gives("late")()
	})
	ctx, cancel := context.WithCancel(t.Context())
	var waiters sync.WaitGroup
	for range 8 {
		waiters.Go(func() {
			if _, err := c.Get(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		})
	}
	cancel()
	waiters.Wait()
	close(release)
	if got, err := c.Get(t.Context()); err != nil || got.AccessKeyID != "late" {
		t.Errorf("got %q, %v", got.AccessKeyID, err)
	}
	if most.Load() != 1 {
		t.Errorf("%d calls of the library at once", most.Load())
	}
}

func TestCredentialsReadFilesAgainAfterRejection(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old")
	c := NewCredentials(CredentialSource{AccessKeyID: "id", AccessKeySecretFile: file})
	old, err := c.Get(t.Context())
	if err != nil || old.AccessKeySecret != "old" {
		t.Fatal(old.AccessKeySecret, err)
	}
	write("new")
	c.Reject(old)
	if got, err := c.Get(t.Context()); err != nil || got.AccessKeySecret != "new" {
		t.Errorf("got %q, %v", got.AccessKeySecret, err)
	}
}

// A malformed CLI profile is quoted whole in the library's error.
func TestCredentialsErrorsHoldNoSecret(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	if err := os.MkdirAll(filepath.Join(home, ".aliyun"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".aliyun", "config.json"), []byte(`{"current":"x","profiles":"canary-secret"`),
		0o600); err != nil {
		t.Fatal(err)
	}
	_, err := NewCredentials(CredentialSource{}).Get(t.Context())
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("error %v", err)
	}
}

// What is wrong with credentials is said in words that lead to it, and that hold no secret.
func TestCredentialsErrorsSayWhy(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	t.Setenv("ALIBABA_CLOUD_STS_REGION", "nowhere")
	t.Setenv("HTTPS_PROXY", "http://user:canary-secret@127.0.0.1:1")
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("canary-secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		source CredentialSource
		env    []string
		want   string
	}{
		"a role": {
			CredentialSource{AccessKeyID: "canary-secret", AccessKeySecret: "canary-secret", RoleARN: "acs:ram::1:role/r"},
			nil,
			"the token service sts.nowhere.aliyuncs.com does not answer: proxyconnect tcp: dial tcp 127.0.0.1:1: connect: connection refused",
		},
		"half a key": {
			CredentialSource{},
			[]string{"ALIBABA_CLOUD_ACCESS_KEY_ID", "canary-secret"},
			"ALIBABA_CLOUD_ACCESS_KEY_ID is set, ALIBABA_CLOUD_ACCESS_KEY_SECRET is not",
		},
		"no token": {
			CredentialSource{},
			[]string{"ALIBABA_CLOUD_OIDC_TOKEN_FILE", token + "-none", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "p", "ALIBABA_CLOUD_ROLE_ARN", "r"},
			"; the OIDC token: stat " + token + "-none: no such file",
		},
		"half of OIDC": {
			CredentialSource{},
			[]string{"ALIBABA_CLOUD_OIDC_TOKEN_FILE", token, "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "p"},
			"ALIBABA_CLOUD_OIDC_TOKEN_FILE is set, ALIBABA_CLOUD_ROLE_ARN is not",
		},
		"OIDC": {
			CredentialSource{},
			[]string{"ALIBABA_CLOUD_OIDC_TOKEN_FILE", token, "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "p", "ALIBABA_CLOUD_ROLE_ARN", "r"},
			"the token service sts.nowhere.aliyuncs.com does not answer: proxyconnect",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i := 0; i < len(c.env); i += 2 {
				t.Setenv(c.env[i], c.env[i+1])
			}
			_, err := NewCredentials(c.source).Get(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}
