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

// The paths that a recorder serves on its socket, and what they carry beside their answers.
const (
	backupPath     = "/backup"
	verifyPath     = "/verify"
	exportPath     = "/export"
	sinceParameter = "since"
	partParameter  = "part"
	positionHeader = "X-Backup-Position" // a trailer, as the next one: where it is missing, what came is not whole
	exportedHeader = "X-Exported"
)

// handler serves a log's operations.
type handler struct {
	log    local
	logger *slog.Logger
}

// NewServer returns the server of a recorder's socket. It sets no limit to how long an answer takes, nor to reading: that one would
// end whatever takes longer. program is the recorder, with its version.
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

// line is a line of the answer of a verification: one of its fields.
type line struct {
	Damage   *store.Damage       `json:"damage,omitempty"`
	Progress *point              `json:"progress,omitempty"`
	Result   *store.Verification `json:"result,omitempty"`
	Error    *failure            `json:"error,omitempty"`
}

// point is how far an operation has come.
type point struct {
	Entries int64 `json:"entries"`
	Bytes   int64 `json:"bytes"`
}

// failure is an error on its way to the other side.
type failure struct {
	Code    history.Code `json:"code"`
	Message string       `json:"message"`
}

func failureOf(err error) *failure { return &failure{history.CodeOf(err), err.Error()} }

func (f *failure) error() error { return history.Errorf(f.Code, "%s", f.Message) }

// started is a response that knows whether it has begun.
type started struct {
	http.ResponseWriter
	begun bool
}

// Write begins the response.
func (s *started) Write(b []byte) (int, error) {
	s.begun = true
	return s.ResponseWriter.Write(b)
}

func (h *handler) backup(w http.ResponseWriter, r *http.Request) {
	var from store.Position
	if err := from.UnmarshalText([]byte(r.URL.Query().Get(sinceParameter))); err != nil {
		refuse(w, err)
		return
	}
	h.stream(w, r, positionHeader, func(out io.Writer) (string, error) {
		to, err := h.log.Backup(r.Context(), out, from, nil)
		return to.String(), err
	})
}

func (h *handler) export(w http.ResponseWriter, r *http.Request) {
	var wanted Wanted
	if err := json.Unmarshal([]byte(r.URL.Query().Get(partParameter)), &wanted); err != nil {
		refuse(w, history.Errorf(history.Invalid, "%s: %v", partParameter, err))
		return
	}
	h.stream(w, r, exportedHeader, func(out io.Writer) (string, error) {
		x, err := h.log.Export(r.Context(), out, wanted, nil)
		said, also := json.Marshal(x)
		return string(said), errors.Join(err, also)
	})
}

// stream answers with what write writes and, in a trailer, with what it returns.
func (h *handler) stream(w http.ResponseWriter, r *http.Request, trailer string, write func(io.Writer) (string, error)) {
	w.Header().Set("Trailer", trailer)
	w.Header().Set("Content-Type", "application/octet-stream")
	out := &started{ResponseWriter: w}
	begin := time.Now()
	said, err := write(out)
	switch {
	case err == nil:
		w.Header().Set(trailer, said)
		h.logger.InfoContext(r.Context(), "passed history on", "path", r.URL.Path, "result", said, "took", time.Since(begin))
	case !out.begun:
		refuse(w, err)
	default:
		h.logger.WarnContext(r.Context(), "passing history on broke off", "path", r.URL.Path, "err", err)
		panic(http.ErrAbortHandler) // so that the other side does not take it for whole
	}
}

func refuse(w http.ResponseWriter, err error) {
	w.Header().Del("Trailer")
	w.Header().Set("Content-Type", "application/json")
	status := http.StatusInternalServerError
	if history.CodeOf(err) == history.Invalid {
		status = http.StatusBadRequest
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(failureOf(err))
}

// verify answers in lines as they come: damage, how far it is, and at the end the result or an error.
func (h *handler) verify(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	say := func(l line) { _ = errors.Join(out.Encode(l), flush.Flush()) } // who has gone away ends the context
	result, err := h.log.Verify(r.Context(), func(d store.Damage) {
		h.logger.ErrorContext(r.Context(), "history is damaged", "damage", d.String())
		say(line{Damage: &d})
	}, func(entries, bytes int64) { say(line{Progress: &point{entries, bytes}}) })
	if err != nil {
		say(line{Error: failureOf(err)})
		return
	}
	h.logger.InfoContext(r.Context(), "verified", "versions", result.Versions, "damaged", result.Damaged)
	say(line{Result: &result})
}
