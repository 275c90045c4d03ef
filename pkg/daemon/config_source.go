package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// DefaultConfigPath is read where CONFIG_PATH is not set.
const DefaultConfigPath = "/config/resources.yaml"

// Source is where a configuration comes from: a file, and BADGER_PATH, SERVER_PORT and BIND_ADDRESS, which are stronger. It is
// for one goroutine.
type Source struct {
	getenv   func(string) string
	path     string
	explicit bool    // the path was asked for
	taken    reading // what the configuration in force was made from
}

// reading is what was found in the file. Readings of the same are equal.
type reading struct {
	data    string
	absent  bool
	trouble string // why it can't be read
}

// NewSource returns the source that an environment names: with the file at CONFIG_PATH or, where that is not set, the one at
// the fallback, which may be absent. getenv is [os.Getenv] or stands in for it.
func NewSource(getenv func(string) string, fallback string) *Source {
	s := &Source{getenv: getenv, path: fallback}
	if path := getenv("CONFIG_PATH"); path != "" {
		s.path, s.explicit = path, true
	}
	return s
}

// Load returns the defaults, overridden by the file, overridden by the environment. Mistakes are errors that name the file,
// the line and the field, or the variable.
func (s *Source) Load() (Config, error) {
	s.taken = s.read()
	return s.parse(s.taken)
}

// Follow tells take of every change of the file since Load, until ctx ends: the new configuration, or what is wrong with it.
// take tells whether it is in force from now on. The file is looked at this often, and at once on a signal; there may be
// none, with nil. Who gives one has written all of the file. Otherwise a change has to stand from one look to the next: half
// of a file that is being written may be a configuration too, without the rules that hide something.
func (s *Source) Follow(ctx context.Context, every time.Duration, signals <-chan os.Signal, take func(Config, error) bool) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	judged, seen := s.taken, s.taken
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-signals:
			asked = true
		}
		found := s.read()
		stands := found == seen
		seen = found
		if found == judged || !stands && !asked {
			continue
		}
		judged = found
		if take(s.parse(found)) {
			s.taken = found
		}
	}
}

// read reads the file, through whatever links lead to it now.
func (s *Source) read() reading {
	data, err := os.ReadFile(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return reading{absent: true, trouble: err.Error()}
	case err != nil:
		return reading{trouble: err.Error()}
	}
	return reading{data: string(data)}
}

// parse returns the configuration that was read. Only who began without a file does without.
func (s *Source) parse(r reading) (Config, error) {
	switch {
	case r.absent && s.taken.absent && !s.explicit:
		return s.override(DefaultConfig())
	case r.trouble != "" && s.explicit:
		return Config{}, history.Errorf(history.Invalid, "read the configuration that CONFIG_PATH names: %s", r.trouble)
	case r.trouble != "":
		return Config{}, history.Errorf(history.Invalid, "read the configuration: %s", r.trouble)
	}
	c, err := ParseConfig([]byte(r.data))
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", s.path, err)
	}
	return s.override(c)
}

func (s *Source) override(c Config) (_ Config, err error) {
	if v := s.getenv("BADGER_PATH"); v != "" {
		c.StoragePath = v
	}
	if v := s.getenv("SERVER_PORT"); v != "" {
		if c.ServerPort, err = parsePort(v); err != nil {
			return Config{}, history.Errorf(history.Invalid, "SERVER_PORT: %v", err)
		}
	}
	if v := s.getenv("BIND_ADDRESS"); v != "" {
		if c.BindAddress, err = parseAddress(v); err != nil {
			return Config{}, history.Errorf(history.Invalid, "BIND_ADDRESS: %v", err)
		}
	}
	return c, nil
}
