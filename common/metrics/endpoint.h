// The HTTP endpoint that Prometheus asks, and what is measured when it asks.
#ifndef RETORT_COMMON_METRICS_ENDPOINT_H_
#define RETORT_COMMON_METRICS_ENDPOINT_H_

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/registry.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace retort {

// A number that is read when somebody asks; `read` is called on the endpoint's threads.
struct Reading {
  std::string name;
  std::string help;
  bool counter = false;  // else a gauge
  // Label and value, such as {{"lane", "syncs"}, 3}; one without a label has an empty name.
  struct Value {
    std::string label;
    std::string label_value;
    double value = 0;
  };
  std::function<std::vector<Value>()> read;
};

// INVALID_ARGUMENT, with the name of the flag: `address` is no HOST:PORT, or other machines reach
// it and nobody said that they may read metrics, which go in clear.
absl::Status CheckMetricsAddress(const std::string& address, bool in_clear);

// Serves `/metrics` until it is destroyed.
class MetricsEndpoint {
 public:
  // `address`: HOST:PORT; `registry` may be null. UNAVAILABLE: it cannot be listened on.
  static absl::StatusOr<std::unique_ptr<MetricsEndpoint>> Start(
      const std::string& address, std::shared_ptr<prometheus::Registry> registry,
      std::vector<Reading> readings);

  int port() const { return exposer_->GetListeningPorts().front(); }
  // `http://127.0.0.1:9641/metrics`.
  std::string url() const;

 private:
  MetricsEndpoint() = default;

  std::string host_;
  std::shared_ptr<prometheus::Registry> registry_;
  std::shared_ptr<prometheus::Collectable> readings_;
  std::unique_ptr<prometheus::Exposer> exposer_;  // last: it asks the two above
};

}  // namespace retort

#endif  // RETORT_COMMON_METRICS_ENDPOINT_H_
