package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// remote is the access to the log of a running recorder. It needs no closing,
// because each request has its own connection.
type remote struct{ client *http.Client }

// newRemote returns the access to the log of the recorder that runs on a
// storage directory. It fails with [errNoRecorder] if none runs.
func newRemote(ctx context.Context, storage string) (*remote, error) {
	// A connection shows whether a recorder runs. Each request opens another.
	c, err := dial(ctx, storage)
	if err != nil {
		return nil, err
	}
	if err := c.Close(); err != nil {
		return nil, err
	}
	return &remote{&http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, storage) },
	}}}, nil
}

// get sends a request, and returns a successful response. An error of the
// recorder is returned with its code. The caller must close the body.
func (r *remote) get(ctx context.Context, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://recorder"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := r.client.Do(request)
	if err != nil {
		return nil, connectionError(ctx, err)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	var f failure
	if err := json.NewDecoder(response.Body).Decode(&f); err != nil {
		return nil, history.Errorf(history.Unavailable, "the recorder responds with %s: it may be of another version",
			response.Status)
	}
	return nil, f.error()
}

// connectionError returns the error for a broken connection, or the error of
// ctx if the connection broke because of that.
func connectionError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return history.WithHint(history.Errorf(history.Unavailable, "the connection to the recorder broke: %v", err),
		"See the recorder's log, and try again.")
}

// Backup implements access. It reports no progress, because the recorder sends
// none.
func (r *remote) Backup(
	ctx context.Context, w io.Writer, from store.Position, _ store.Progress,
) (to store.Position, err error) {
	position, err := r.stream(ctx, w, backupPath+"?"+url.Values{sinceParameter: {from.String()}}.Encode(),
		positionHeader)
	if err != nil {
		return to, err
	}
	return to, to.UnmarshalText([]byte(position))
}

// Export implements access. It reports no progress, because the recorder sends
// none.
func (r *remote) Export(ctx context.Context, w io.Writer, sel Selection, _ archive.Progress) (x Exported, err error) {
	selection, err := json.Marshal(sel)
	if err != nil {
		return x, err
	}
	exported, err := r.stream(ctx, w, exportPath+"?"+url.Values{selectionParameter: {string(selection)}}.Encode(),
		exportedHeader)
	if err != nil {
		return x, err
	}
	return x, json.Unmarshal([]byte(exported), &x)
}

// stream copies the body of a response to w, and returns a trailer. It fails if
// the trailer is absent, because the body is incomplete then.
func (r *remote) stream(ctx context.Context, w io.Writer, path, trailer string) (string, error) {
	response, err := r.get(ctx, path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if _, err := io.Copy(w, &body{ctx, response.Body}); err != nil {
		return "", err
	}
	value := response.Trailer.Get(trailer)
	if value == "" {
		return "", connectionError(ctx, errors.New("the end of the response is missing"))
	}
	return value, nil
}

// body distinguishes the errors of the recorder from those of the destination.
type body struct {
	ctx context.Context //nolint:containedctx // of one call
	r   io.Reader
}

// Read implements [io.Reader]. All errors but [io.EOF] are connection errors.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = connectionError(b.ctx, err)
	}
	return n, err
}

// Verify implements access.
func (r *remote) Verify(
	ctx context.Context, report func(store.Damage), progress store.Progress,
) (store.Verification, error) {
	response, err := r.get(ctx, verifyPath)
	if err != nil {
		return store.Verification{}, err
	}
	defer response.Body.Close()
	for lines := json.NewDecoder(bufio.NewReader(response.Body)); ; {
		var l line
		if err := lines.Decode(&l); err != nil {
			return store.Verification{}, connectionError(ctx, fmt.Errorf("the end of the response is missing: %w", err))
		}
		switch {
		case l.Damage != nil:
			report(*l.Damage)
		case l.Progress != nil && progress != nil:
			progress(l.Progress.Entries, l.Progress.Bytes)
		case l.Error != nil:
			return store.Verification{}, l.Error.error()
		case l.Result != nil:
			return *l.Result, nil
		}
	}
}
