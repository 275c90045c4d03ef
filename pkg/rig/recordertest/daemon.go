package recordertest

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/access/clientcert"
	"github.com/watchhistory/watchhistory/pkg/daemon"
)

// FilesIn returns the contents of all files below a directory, such as a
// database, one after another.
func FilesIn(tb testing.TB, dir string) (all []byte) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() { // a socket can't be read
			return err
		}
		data, err := os.ReadFile(path)
		all = append(all, data...)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// RunDaemon runs a recorder in the test's process until the test ends. The
// identity is that of the recorder in its cluster. It stores in a directory of
// the test, and listens on the loopback interface, whatever the configuration
// says.
func RunDaemon(tb testing.TB, identity *rest.Config, config daemon.Config) *daemon.Daemon {
	tb.Helper()
	config.StoragePath, config.BindAddress = tb.TempDir(), "127.0.0.1"
	d, err := daemon.New(tb.Context(), config, identity, slog.New(slog.NewTextHandler(tb.Output(), nil)),
		daemon.WithClientCertificates(clientcert.New))
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	tb.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			tb.Errorf("recorder: got error %v, want none", err)
		}
	})
	return d
}
