package apiclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/aliyun/credentials-go/credentials/providers"
)

// CredentialSource says where an account's credentials come from. Without an access key it is the default chain.
type CredentialSource struct {
	AccessKeyID         string
	AccessKeySecret     string
	AccessKeySecretFile string // instead of AccessKeySecret; read again at each renewal
	SecurityToken       string
	SecurityTokenFile   string // instead of SecurityToken; read again at each renewal
	RoleARN             string // role to assume
	ExternalID          string // of the role's trust policy
	RoleSessionName     string
}

// local reports whether the source needs no service: reading it again costs nothing.
func (s CredentialSource) local() bool { return s.AccessKeyID != "" && s.RoleARN == "" }

func (s CredentialSource) provider() (providers.CredentialsProvider, error) {
	own, err := s.withoutRole()
	if err != nil || s.RoleARN == "" {
		return own, err
	}
	role := providers.NewRAMRoleARNCredentialsProviderBuilder().WithCredentialsProvider(own).WithRoleArn(s.RoleARN)
	if s.ExternalID != "" {
		role = role.WithExternalId(s.ExternalID)
	}
	if s.RoleSessionName != "" {
		role = role.WithRoleSessionName(s.RoleSessionName)
	}
	return role.Build()
}

func (s CredentialSource) withoutRole() (providers.CredentialsProvider, error) {
	if s.AccessKeyID == "" {
		return defaultProvider()
	}
	secret, err := valueOrFile(s.AccessKeySecret, s.AccessKeySecretFile)
	if err != nil {
		return nil, err
	}
	token, err := valueOrFile(s.SecurityToken, s.SecurityTokenFile)
	if err != nil {
		return nil, err
	}
	if token != "" {
		return providers.NewStaticSTSCredentialsProviderBuilder().
			WithAccessKeyId(s.AccessKeyID).WithAccessKeySecret(secret).WithSecurityToken(token).Build()
	}
	return providers.NewStaticAKCredentialsProviderBuilder().WithAccessKeyId(s.AccessKeyID).WithAccessKeySecret(secret).Build()
}

func valueOrFile(value, file string) (string, error) {
	if file == "" {
		return value, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(strings.TrimPrefix(string(b), "\ufeff")), nil
}

// sourceError is a mistake in the environment or a profile. Its text holds no secret.
type sourceError string

// Error implements error.
func (e sourceError) Error() string { return string(e) }

// defaultProvider returns the first provider of the default chain that is configured: environment, OIDC, CLI profile, shared profile,
// credentials URI, and as the last resort the ECS RAM role. One that is half configured is an error and not a reason to try the next:
// that could be another identity, for which every instance is invisible.
func defaultProvider() (providers.CredentialsProvider, error) {
	env := os.Getenv
	key := firstSet("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN")
	oidc := firstSet("ALIBABA_CLOUD_OIDC_TOKEN_FILE", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "ALIBABA_CLOUD_ROLE_ARN")
	switch {
	case key != "":
		if err := needs(key, "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"); err != nil {
			return nil, err
		}
		return providers.NewEnvironmentVariableCredentialsProviderBuilder().Build()
	case oidc != "":
		if err := needs(oidc, "ALIBABA_CLOUD_OIDC_TOKEN_FILE", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "ALIBABA_CLOUD_ROLE_ARN"); err != nil {
			return nil, err
		}
		if _, err := os.Stat(env("ALIBABA_CLOUD_OIDC_TOKEN_FILE")); err != nil {
			return nil, sourceError("the OIDC token: " + err.Error())
		}
		return providers.NewOIDCCredentialsProviderBuilder().Build()
	}
	if configured, err := cliProfile(); configured || err != nil {
		if err != nil {
			return nil, err
		}
		return providers.NewCLIProfileCredentialsProviderBuilder().Build()
	}
	switch file := inHome("ALIBABA_CLOUD_CREDENTIALS_FILE", ".alibabacloud", "credentials"); {
	case exists(file) || env("ALIBABA_CLOUD_CREDENTIALS_FILE") != "":
		return providers.NewProfileCredentialsProviderBuilder().Build()
	case env("ALIBABA_CLOUD_PROFILE") != "":
		return nil, sourceError(fmt.Sprintf("ALIBABA_CLOUD_PROFILE names the profile %q, but there is no file of profiles",
			env("ALIBABA_CLOUD_PROFILE")))
	case env("ALIBABA_CLOUD_CREDENTIALS_URI") != "":
		return providers.NewURLCredentialsProviderBuilder().Build()
	default:
		return providers.NewECSRAMRoleCredentialsProviderBuilder().Build()
	}
}

// firstSet returns the first of some environment variables that is set; empty if none is.
func firstSet(names ...string) string {
	if i := slices.IndexFunc(names, func(name string) bool { return os.Getenv(name) != "" }); i >= 0 {
		return names[i]
	}
	return ""
}

// needs returns an error if a variable is set without another one that it needs.
func needs(set string, names ...string) error {
	for _, missing := range names {
		if os.Getenv(missing) == "" {
			return sourceError(fmt.Sprintf("%s is set, %s is not", set, missing))
		}
	}
	return nil
}

// inHome returns the file that an environment variable names, or one in the home directory.
func inHome(variable string, path ...string) string {
	if file := os.Getenv(variable); file != "" {
		return file
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(append([]string{home}, path...)...)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return file != "" && err == nil
}

// cliProfile reports whether the aliyun CLI has a profile to use. It is an error if the profile is misspelled, incomplete, or of a mode
// that is meant for a person at a terminal: the library would rewrite the file and print secrets.
func cliProfile() (configured bool, err error) {
	if strings.EqualFold(os.Getenv("ALIBABA_CLOUD_CLI_PROFILE_DISABLED"), "true") {
		return false, nil
	}
	file, named := inHome("ALIBABA_CLOUD_CONFIG_FILE", ".aliyun", "config.json"), os.Getenv("ALIBABA_CLOUD_PROFILE")
	content, err := os.ReadFile(file)
	switch {
	case err != nil && os.Getenv("ALIBABA_CLOUD_CONFIG_FILE") == "" && errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return true, sourceError("the CLI profiles: " + err.Error())
	}
	var f profileFile
	if json.Unmarshal(content, &f) != nil { // its error could quote a secret
		return true, sourceError("the CLI profiles in " + file + " are not valid JSON")
	}
	if named == "" {
		named = f.Current
	}
	if named == "" && len(f.Profiles) == 0 {
		return false, nil
	}
	p := f.profile(named)
	// As the CLI writes it before anybody has configured it.
	if p != nil && os.Getenv("ALIBABA_CLOUD_PROFILE") == "" && *p == (profileMode{Name: "default", Mode: "AK"}) {
		return false, nil
	}
	return true, f.check(file, named, map[string]bool{})
}

type profileFile struct {
	Current  string        `json:"current"`
	Profiles []profileMode `json:"profiles"`
}

type profileMode struct {
	Name            string `json:"name"`
	Mode            string `json:"mode"`
	AccessKeyID     string `json:"access_key_id"`
	AccessKeySecret string `json:"access_key_secret"`
	SourceProfile   string `json:"source_profile"`
}

func (f profileFile) profile(name string) *profileMode {
	for i := range f.Profiles {
		if f.Profiles[i].Name == name {
			return &f.Profiles[i]
		}
	}
	return nil
}

// check returns an error if a profile, or one that it builds on, cannot be used.
func (f profileFile) check(file, name string, seen map[string]bool) error {
	p := f.profile(name)
	switch {
	case p == nil:
		return sourceError(fmt.Sprintf("there is no CLI profile %q in %s", name, file))
	case seen[name]:
		return sourceError(fmt.Sprintf("the CLI profile %q in %s is its own source profile", name, file))
	}
	seen[name] = true
	switch p.Mode {
	case "AK", "StsToken", "RamRoleArn":
		if p.AccessKeyID == "" || p.AccessKeySecret == "" {
			return sourceError(fmt.Sprintf("the CLI profile %q in %s has no access key", name, file))
		}
		return nil
	case "EcsRamRole", "OIDC":
		return nil
	case "ChainableRamRoleArn":
		return f.check(file, p.SourceProfile, seen)
	case "External", "OAuth", "CloudSSO":
		return sourceError(fmt.Sprintf("the CLI profile %q in %s has the mode %s, which is meant for a person at a terminal; "+
			"use a profile of the mode AK, RamRoleArn, EcsRamRole or OIDC, or configure the account in the exporter", name, file, p.Mode))
	default:
		return sourceError(fmt.Sprintf("the CLI profile %q in %s has the unknown mode %q", name, file, p.Mode))
	}
}

// tokenServiceFault matches an error of the token service. Only the host of its URL is harmless, and only these characters of the cause.
var tokenServiceFault = regexp.MustCompile(`"https://(sts[a-z0-9.-]*)[/?][^"]*": ([A-Za-z0-9 .:>\[\]-]{1,160})`)

// tokenServiceCode matches an error code that the token service returned.
var tokenServiceCode = regexp.MustCompile(`"Code"\s*:\s*"([A-Za-z][A-Za-z0-9._]{0,80})"`)

// redact reduces a credential error to what is known to be harmless. The library's own text is not: it quotes a malformed CLI profile
// with its secrets.
func redact(err error) error {
	var known sourceError
	var file *os.PathError
	switch {
	case errors.As(err, &known):
		return fmt.Errorf("no credentials: %w", known)
	case errors.As(err, &file):
		return fmt.Errorf("no credentials: %w", file)
	}
	if m := tokenServiceCode.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("no credentials: the token service says %s", m[1])
	}
	if m := tokenServiceFault.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("no credentials: the token service %s does not answer: %s", m[1], m[2])
	}
	if text := strings.ToLower(err.Error()); strings.Contains(text, "100.100.100.200") || strings.Contains(text, "imds") {
		return errors.New("no credentials: nothing is configured, and the ECS metadata service does not answer")
	}
	return errors.New("no credentials: the provider failed (its message may contain secrets and is left out)")
}
