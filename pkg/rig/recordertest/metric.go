package recordertest

import (
	"fmt"
	"io"
	"net/http"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// metric returns a counter or a gauge of a Prometheus endpoint, summed over all
// labels.
func metric(url, name string) (sum float64, err error) {
	response, err := http.Get(url) //nolint:noctx,gosec // loopback, and bounded by the server
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	body := io.LimitReader(response.Body, 16<<20)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(body)
	if err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	family := families[name]
	if family == nil {
		return 0, fmt.Errorf("read metrics: no metric %s", name)
	}
	for _, m := range family.GetMetric() {
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return sum, nil
}
