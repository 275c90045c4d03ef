package api

import (
	"sync"
	"time"
)

// rate limits the queries of each client. It is safe for concurrent use.
//
// It is a token bucket per client, stored as the time at which the bucket is
// full again (the generic cell rate algorithm).
type rate struct {
	interval time.Duration // between two queries; 0 means no limit
	burst    time.Duration // how far the time of a full bucket may be ahead

	mu   sync.Mutex
	full map[string]time.Time // by client; a client without an entry has a full bucket
}

// maxRateClients is the number of clients from which on those with a full
// bucket are forgotten.
const maxRateClients = 4096

// newRate returns a limit of queries per second. A client that was silent may
// send as many at once as it may send in burst.
func newRate(perSecond float64, burst time.Duration) *rate {
	r := &rate{burst: burst, full: map[string]time.Time{}}
	if perSecond > 0 {
		r.interval = time.Duration(float64(time.Second) / perSecond)
	}
	return r
}

// allow counts a query, unless the client has sent too many. It returns a
// [refusal] then.
func (r *rate) allow(client string, now time.Time) error {
	if r.interval == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	full := r.full[client]
	if full.Before(now) {
		full = now
	}
	if early := full.Add(r.interval).Sub(now) - r.burst; early > 0 {
		return errRate.retryAfter(early)
	}
	if len(r.full) >= maxRateClients {
		r.forgetLocked(now)
	}
	r.full[client] = full.Add(r.interval)
	return nil
}

// forgetLocked removes the clients with a full bucket. If too many are left, it
// removes all, so that memory is bounded.
func (r *rate) forgetLocked(now time.Time) {
	for client, full := range r.full {
		if !full.After(now) {
			delete(r.full, client)
		}
	}
	if len(r.full) >= maxRateClients {
		clear(r.full)
	}
}
