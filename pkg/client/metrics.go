package client

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// Metrics returns the recorder's metrics that have no labels, by their names,
// such as watchhistory_storage_bytes. docs/troubleshooting.md lists them.
//
// A recorder that identifies its callers requires the right to get the
// non-resource URL [v1.MetricsPath]. Without it, the error has the code
// [history.Forbidden].
func (c *Client) Metrics(ctx context.Context) (map[string]float64, error) {
	a, err := c.ask(ctx, c.base.JoinPath(v1.MetricsPath), "text/plain")
	if err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	switch {
	case a.status != http.StatusOK:
		return nil, c.failure(a.status, kind, a.body)
	case kind != "text/plain":
		return nil, c.notARecorder(errors.New("its metrics are " + kind))
	}
	metrics := map[string]float64{}
	for line := range strings.Lines(string(a.body)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if number, err := strconv.ParseFloat(value, 64); err == nil && !strings.ContainsAny(name, "#{") {
			metrics[name] = number
		}
	}
	return metrics, nil
}
