package api

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// clientShare is the fraction of the streams that one client can open.
const clientShare = 4

// streams bounds the open streams. It is safe for concurrent use.
type streams struct {
	most, perClient int

	mu   sync.Mutex
	open int
	by   map[string]int // client
}

// newStreams returns a bound, and registers its metric unless the registerer is
// nil.
func newStreams(most int, registerer prometheus.Registerer) *streams {
	s := &streams{most: most, perClient: max(most/clientShare, 1), by: map[string]int{}}
	if registerer != nil {
		registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "watchhistory", Name: "streams_open", Help: "Open streams of records.",
		}, func() float64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return float64(s.open)
		}))
	}
	return s
}

// enter counts a stream until leave is called, or returns a [refusal].
func (s *streams) enter(client string) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.by[client] >= s.perClient:
		return nil, errClientStreams
	case s.open >= s.most:
		return nil, errStreams
	}
	s.open++
	s.by[client]++
	return func() { s.leave(client) }, nil
}

func (s *streams) leave(client string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.by[client]--; s.by[client] == 0 {
		delete(s.by, client)
	}
}
