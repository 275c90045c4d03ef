package cli

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/timeflag"
)

// timeForms lists the texts that the flags of times accept, for their help.
const timeForms = timeflag.Forms + ", or that of a version like deploy/web#11"

// moment is a flag whose value is a time, or a version that has one.
type moment struct {
	flag    string     // with its dashes
	text    string     // value
	time    time.Time  // zero if the flag is not set, or before the version is read
	version *objectArg // whose time is meant; nil if the value is a time
}

// addFlag adds the flag --at. The usage is completed with the forms of times.
func (m *moment) addFlag(fs *pflag.FlagSet, usage string) {
	m.flag = "--at"
	fs.StringVar(&m.text, "at", "", usage+": "+timeForms+".")
}

// isSet reports whether the flag is set.
func (m *moment) isSet() bool { return m.text != "" }

// isRelative reports whether the time depends on the current time, or on a
// version.
func (m *moment) isRelative() bool { return timeflag.IsRelative(m.text) }

// complete parses the value, relative to now and in its location. All flags of
// times are parsed here.
func (m *moment) complete(now time.Time) (err error) {
	m.time, m.version = time.Time{}, nil
	if strings.Contains(m.text, "/") {
		object, err := parseObject([]string{m.text})
		if err != nil {
			return invalidf("%s %q is not a version: want one like deploy/web#11", m.flag, m.text)
		}
		if object.ref.revision == 0 {
			return invalidf("%s %q has no revision: want one like %s/%s#11",
				m.flag, m.text, object.kind, object.name)
		}
		m.version = &object
		return nil
	}
	if m.time, err = timeflag.ParseTime("", m.text, now); err != nil {
		return invalidf("%s %q is not a time: want an age like 15m or 3d, a time like 12:30 or 'yesterday 18:00', "+
			"a version like deploy/web#11, or one like %s", m.flag, m.text, now.UTC().Format(time.RFC3339))
	}
	return nil
}

// resolveMoments parses flags again, now by the recorder's clock, and reads the
// versions that they name.
//
// Otherwise, with a local clock that is ten minutes ahead, --since 10m would
// select a window in which nothing is recorded yet. If no response has a time,
// the times stay relative to the local clock.
func (c *connection) resolveMoments(ctx context.Context, s *session, in *time.Location, moments ...*moment) error {
	for _, m := range moments {
		if m.isRelative() {
			if err := c.readClock(ctx, s); err != nil {
				return err
			}
		}
		if err := m.complete(c.env.recorderNow().In(in)); err != nil {
			return err
		}
		if m.version == nil {
			continue
		}
		var err error
		if m.time, err = c.timeOfVersion(ctx, s, m.version); err != nil {
			return withPrefix(m.flag, err)
		}
	}
	return nil
}

// timeOfVersion returns the time of a version of an object in the namespace of
// the command, or in that of the kubeconfig if the command is about all.
func (c *connection) timeOfVersion(ctx context.Context, s *session, of *objectArg) (time.Time, error) {
	resolved, err := s.types.resolve(ctx, of.kind)
	if err != nil {
		return time.Time{}, err
	}
	namespace, err := c.objectNamespace()
	if err != nil {
		return time.Time{}, err
	}
	sub := subject{resolved, of.name}
	v := newVersions(s, &c.env, sub, "")
	v.namespaces = sub.namespaces(namespace)
	e, err := v.version(ctx, &of.ref)
	if err != nil {
		return time.Time{}, err
	}
	return e.Timestamp, nil
}

// withPrefix returns an error of the domain with the flag that caused it.
func withPrefix(flag string, err error) error {
	if _, ok := errors.AsType[*history.Error](err); !ok {
		return err
	}
	return &history.Error{
		Code: history.CodeOf(err), Message: flag + ": " + err.Error(), Hint: history.HintOf(err), Err: err,
	}
}
