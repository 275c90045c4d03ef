package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// DefaultConfigPath is the configuration file if CONFIG_PATH is not set. It may
// be absent.
const DefaultConfigPath = "/config/resources.yaml"

// Source reads a configuration from a file and from environment variables,
// which override the file. docs/configuration.md lists them.
//
// It is not safe for concurrent use: call [Source.Load], then [Source.Follow].
type Source struct {
	getenv   func(string) string
	path     string
	explicit bool         // CONFIG_PATH names the file, so it must exist
	applied  fileContents // of the current configuration
}

// fileContents is the result of reading the file once. It is comparable.
type fileContents struct {
	data   string
	absent bool
	err    string // why the file could not be read, or ""
}

// NewSource returns the source that the environment describes. Its file is that
// of CONFIG_PATH or, if that is not set, the fallback, which may be absent.
// getenv is [os.Getenv], or replaces it in tests.
func NewSource(getenv func(string) string, fallback string) *Source {
	s := &Source{getenv: getenv, path: fallback}
	if path := getenv("CONFIG_PATH"); path != "" {
		s.path, s.explicit = path, true
	}
	return s
}

// Load returns the defaults overridden by the file, overridden by the
// environment. An error has the code [history.Invalid] and names the file, the
// line and the field, or the variable.
func (s *Source) Load() (Config, error) {
	s.applied = s.read()
	return s.parse(s.applied)
}

// Follow calls apply after each change of the file since Load, with the new
// configuration or with the error in it. apply reports whether it has applied
// the configuration. Follow returns when ctx ends.
//
// It reads the file at this interval and after each signal; signals may be nil.
// A change is applied once two successive reads return the same contents. Half
// of a file that is being written may be valid too, and lack rules that redact
// something. After a signal the change is applied at once, because the sender
// has written the whole file.
func (s *Source) Follow(
	ctx context.Context, interval time.Duration, signals <-chan os.Signal, apply func(Config, error) bool,
) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	// judged are the contents that were applied or rejected last.
	judged, last := s.applied, s.applied
	for {
		signalled := false
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-signals:
			signalled = true
		}
		read := s.read()
		settled := read == last
		last = read
		if read == judged || !settled && !signalled {
			continue
		}
		judged = read
		if apply(s.parse(read)) {
			s.applied = read
		}
	}
}

// read reads the file. It resolves links each time: the kubelet updates a
// mounted ConfigMap by replacing a link.
func (s *Source) read() fileContents {
	data, err := os.ReadFile(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fileContents{absent: true, err: err.Error()}
	case err != nil:
		return fileContents{err: err.Error()}
	}
	return fileContents{data: string(data)}
}

// parse returns the configuration for the contents. An absent file is valid
// only if the current configuration was made without one.
func (s *Source) parse(f fileContents) (Config, error) {
	switch {
	case f.absent && s.applied.absent && !s.explicit:
		return s.override(DefaultConfig())
	case f.err != "" && s.explicit:
		return Config{}, history.Errorf(history.Invalid, "read the configuration file of CONFIG_PATH: %s", f.err)
	case f.err != "":
		return Config{}, history.Errorf(history.Invalid, "read the configuration file: %s", f.err)
	}
	c, err := ParseConfig([]byte(f.data))
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", s.path, err)
	}
	return s.override(c)
}

// override sets the values that the environment has, and checks values that may
// come from both.
func (s *Source) override(c Config) (Config, error) {
	for name, value := range map[string]*string{
		"BADGER_PATH": &c.StoragePath, "TLS_CERT_FILE": &c.TLSCertFile,
		"TLS_KEY_FILE": &c.TLSKeyFile, "TLS_CA_FILE": &c.TLSCAFile,
	} {
		*value = cmp.Or(s.getenv(name), *value)
	}
	if err := s.overrideAddresses(&c); err != nil {
		return Config{}, err
	}
	c.Namespace = s.namespace()
	return c, c.checkListeners()
}

// overrideAddresses sets the addresses and ports that the environment has.
func (s *Source) overrideAddresses(c *Config) (err error) {
	for _, o := range []struct {
		name  string
		parse func(string) error
	}{
		{"SERVER_PORT", func(v string) error { c.ServerPort, err = parsePort(v); return err }},
		{"SECURE_PORT", func(v string) error { c.SecurePort, err = parsePort(v); return err }},
		{"DEBUG_PORT", func(v string) error { c.DebugPort, err = parsePort(v); return err }},
		{"BIND_ADDRESS", func(v string) error { c.BindAddress, err = parseAddress(v); return err }},
		{"SECURE_BIND_ADDRESS", func(v string) error { c.SecureBindAddress, err = parseAddress(v); return err }},
	} {
		if v := s.getenv(o.name); v != "" {
			if err := o.parse(v); err != nil {
				return history.Errorf(history.Invalid, "%s: %v", o.name, err)
			}
		}
	}
	return nil
}

// namespaceFile contains the namespace of a pod, next to the token of its
// service account.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// namespace returns the namespace that the recorder runs in, or "" outside of a
// cluster.
func (s *Source) namespace() string {
	if v := s.getenv("POD_NAMESPACE"); v != "" {
		return v
	}
	data, err := os.ReadFile(namespaceFile)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
