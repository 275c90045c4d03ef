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

// remote is the log of a recorder that runs.
type remote struct{ client *http.Client }

// newRemote returns the log of the recorder that runs on a storage directory, or [errNobody].
func newRemote(ctx context.Context, storage string) (*remote, error) {
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

// get asks the recorder, which refuses with an error of its own. The caller closes the body.
func (r *remote) get(ctx context.Context, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://recorder"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := r.client.Do(request)
	if err != nil {
		return nil, brokeOff(ctx, err)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	var f failure
	if err := json.NewDecoder(response.Body).Decode(&f); err != nil {
		return nil, history.Errorf(history.Unavailable, "the recorder answers %s: is it of another version?", response.Status)
	}
	return nil, f.error()
}

func brokeOff(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return history.Errorf(history.Unavailable, "the recorder broke off: see its log, and try again (%v)", err)
}

// Backup is [store.Store.Backup] of the recorder's log, but for the progress, of which the recorder says nothing.
func (r *remote) Backup(ctx context.Context, w io.Writer, from store.Position, _ store.Progress) (to store.Position, err error) {
	said, err := r.stream(ctx, w, backupPath+"?"+url.Values{sinceParameter: {from.String()}}.Encode(), positionHeader)
	if err != nil {
		return to, err
	}
	return to, to.UnmarshalText([]byte(said))
}

// Export is Export of the recorder's log, but for the progress, of which the recorder says nothing.
func (r *remote) Export(ctx context.Context, w io.Writer, wanted Wanted, _ archive.Progress) (x Exported, err error) {
	part, err := json.Marshal(wanted)
	if err != nil {
		return x, err
	}
	said, err := r.stream(ctx, w, exportPath+"?"+url.Values{partParameter: {string(part)}}.Encode(), exportedHeader)
	if err != nil {
		return x, err
	}
	return x, json.Unmarshal([]byte(said), &x)
}

// stream writes the recorder's answer, and returns what it says in a trailer.
func (r *remote) stream(ctx context.Context, w io.Writer, path, trailer string) (string, error) {
	response, err := r.get(ctx, path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if _, err := io.Copy(w, &body{ctx, response.Body}); err != nil {
		return "", err
	}
	said := response.Trailer.Get(trailer)
	if said == "" {
		return "", brokeOff(ctx, errors.New("the end is missing"))
	}
	return said, nil
}

// body tells errors of the recorder from those of whom the bytes are for.
type body struct {
	ctx context.Context //nolint:containedctx // of one call
	r   io.Reader
}

// Read reads, and says in the user's words why it can't.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = brokeOff(b.ctx, err)
	}
	return n, err
}

// Verify is [store.Store.Verify] of the recorder's log.
func (r *remote) Verify(ctx context.Context, report func(store.Damage), progress store.Progress) (store.Verification, error) {
	response, err := r.get(ctx, verifyPath)
	if err != nil {
		return store.Verification{}, err
	}
	defer response.Body.Close()
	for lines := json.NewDecoder(bufio.NewReader(response.Body)); ; {
		var l line
		if err := lines.Decode(&l); err != nil {
			return store.Verification{}, brokeOff(ctx, fmt.Errorf("the end is missing: %w", err))
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
