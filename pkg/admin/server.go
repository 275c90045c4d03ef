package admin

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// The paths, parameters and trailers of a recorder's socket. A response without
// its trailer is incomplete.
const (
	backupPath = "/backup"
	verifyPath = "/verify"
	exportPath = "/export"

	sinceParameter     = "since"
	selectionParameter = "part"

	positionHeader = "X-Backup-Position"
	exportedHeader = "X-Exported"
)

// handler serves the operations of a log. Requests may be concurrent.
type handler struct {
	log    local
	logger *slog.Logger
}

// NewServer returns the server of a recorder's socket. The program is the name
// and the version of the recorder.
//
// The server limits neither the time of a response nor that of reading: a read
// timeout would also end a response that takes longer.
func NewServer(log Log, program string, logger *slog.Logger) *http.Server {
	h := &handler{local{log, program}, logger}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+backupPath, h.backup)
	mux.HandleFunc("GET "+verifyPath, h.verify)
	mux.HandleFunc("GET "+exportPath, h.export)
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// line is one line of the response of a verification. Exactly one field is set.
type line struct {
	Damage   *store.Damage       `json:"damage,omitempty"`
	Progress *point              `json:"progress,omitempty"`
	Result   *store.Verification `json:"result,omitempty"`
	Error    *failure            `json:"error,omitempty"`
}

// point is the progress of an operation.
type point struct {
	Entries int64 `json:"entries"`
	Bytes   int64 `json:"bytes"`
}

// failure is an error as a response contains it.
type failure struct {
	Code    history.Code `json:"code"`
	Message string       `json:"message"`
	Hint    string       `json:"hint,omitempty"`
}

// failureOf returns an error in the form of a response.
func failureOf(err error) *failure {
	return &failure{history.CodeOf(err), err.Error(), history.HintOf(err)}
}

// error is the inverse of failureOf. The cause is lost.
func (f *failure) error() error {
	return &history.Error{Code: f.Code, Message: f.Message, Hint: f.Hint}
}

// startedWriter notes whether the body of a response was started.
type startedWriter struct {
	http.ResponseWriter
	started bool
}

// Write implements [io.Writer].
func (s *startedWriter) Write(b []byte) (int, error) {
	s.started = true
	return s.ResponseWriter.Write(b)
}

// backup responds with a backup since the position of the parameter. An empty
// position means a full backup.
func (h *handler) backup(w http.ResponseWriter, r *http.Request) {
	var from store.Position
	if err := from.UnmarshalText([]byte(r.URL.Query().Get(sinceParameter))); err != nil {
		respondError(w, err)
		return
	}
	h.stream(w, r, positionHeader, func(out io.Writer) (string, error) {
		to, err := h.log.Backup(r.Context(), out, from, nil)
		return to.String(), err
	})
}

// export responds with an export of the selection in the parameter, which is
// JSON.
func (h *handler) export(w http.ResponseWriter, r *http.Request) {
	var sel Selection
	if err := json.Unmarshal([]byte(r.URL.Query().Get(selectionParameter)), &sel); err != nil {
		respondError(w, history.Errorf(history.Invalid, "%s: %v", selectionParameter, err))
		return
	}
	h.stream(w, r, exportedHeader, func(out io.Writer) (string, error) {
		x, err := h.log.Export(r.Context(), out, sel, nil)
		value, encodeErr := json.Marshal(x)
		return string(value), errors.Join(err, encodeErr)
	})
}

// stream responds with the output of write, and with its result in a trailer.
// If write fails after the body was started, the connection is closed.
//
// The status is sent before the result is known, because the output does not
// fit into memory. So the client relies on the trailer, which only a complete
// body has.
func (h *handler) stream(
	w http.ResponseWriter, r *http.Request, trailer string, write func(io.Writer) (string, error),
) {
	w.Header().Set("Trailer", trailer)
	w.Header().Set("Content-Type", "application/octet-stream")
	out := &startedWriter{ResponseWriter: w}
	begin := time.Now()
	value, err := write(out)
	switch {
	case err == nil:
		w.Header().Set(trailer, value)
		h.logger.InfoContext(r.Context(), "served history",
			"path", r.URL.Path, "result", value, "duration", time.Since(begin))
	case !out.started:
		respondError(w, err)
	default:
		h.logger.WarnContext(r.Context(), "serving history failed", "path", r.URL.Path, "err", err)
		panic(http.ErrAbortHandler) // the client must not take the response as complete
	}
}

// respondError responds with an error. It must be called before anything of the
// body is written. It removes the announced trailer.
func respondError(w http.ResponseWriter, err error) {
	w.Header().Del("Trailer")
	w.Header().Set("Content-Type", "application/json")
	status := http.StatusInternalServerError
	if history.CodeOf(err) == history.Invalid {
		status = http.StatusBadRequest
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(failureOf(err))
}

// verify responds with lines as they arise: damage, progress and, as the last
// one, the result or an error.
func (h *handler) verify(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	// Write errors are ignored: a closed connection ends the context.
	send := func(l line) { _ = errors.Join(out.Encode(l), flush.Flush()) }
	// Damage is logged too: the operator reads the recorder's log, and not the
	// output of every command.
	result, err := h.log.Verify(r.Context(), func(d store.Damage) {
		h.logger.ErrorContext(r.Context(), "history is damaged", "damage", d.String())
		send(line{Damage: &d})
	}, func(entries, bytes int64) { send(line{Progress: &point{entries, bytes}}) })
	if err != nil {
		send(line{Error: failureOf(err)})
		return
	}
	h.logger.InfoContext(r.Context(), "verified history", "versions", result.Versions, "damaged", result.Damaged)
	send(line{Result: &result})
}
