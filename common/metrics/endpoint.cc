#include "common/metrics/endpoint.h"

#include <exception>

#include "absl/strings/str_cat.h"
#include "common/access/access.h"
#include "common/status.h"

namespace retort {
namespace {

class Readings : public prometheus::Collectable {
 public:
  explicit Readings(std::vector<Reading> readings) : readings_(std::move(readings)) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<prometheus::MetricFamily> families;
    for (const Reading& reading : readings_) {
      prometheus::MetricFamily family;
      family.name = reading.name;
      family.help = reading.help;
      family.type =
          reading.counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
      for (const Reading::Value& value : reading.read()) {
        prometheus::ClientMetric metric;
        if (!value.label.empty()) metric.label.push_back({value.label, value.label_value});
        (reading.counter ? metric.counter.value : metric.gauge.value) = value.value;
        family.metric.push_back(std::move(metric));
      }
      families.push_back(std::move(family));
    }
    return families;
  }

 private:
  const std::vector<Reading> readings_;
};

}  // namespace

absl::Status CheckMetricsAddress(const std::string& address, bool in_clear) {
  // Port 0, a free one, is nothing that could be called; here it is.
  const bool any_port = address.ends_with(":0");
  RETORT_RETURN_IF_ERROR(Annotate(
      CheckAddress(any_port ? address.substr(0, address.size() - 1) + "1" : address), "--metrics"));
  if (IsLoopback(address) || in_clear) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--metrics ", address,
      ": other machines reach this address, and metrics go in clear; say --metrics-in-clear if "
      "they may"));
}

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Start(
    const std::string& address, std::shared_ptr<prometheus::Registry> registry,
    std::vector<Reading> readings) {
  std::unique_ptr<MetricsEndpoint> endpoint(new MetricsEndpoint());
  endpoint->host_ = address.substr(0, address.rfind(':'));
  endpoint->registry_ = std::move(registry);
  endpoint->readings_ = std::make_shared<Readings>(std::move(readings));
  try {
    endpoint->exposer_ = std::make_unique<prometheus::Exposer>(address, 1);
    if (endpoint->registry_) endpoint->exposer_->RegisterCollectable(endpoint->registry_);
    endpoint->exposer_->RegisterCollectable(endpoint->readings_);
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat(address, ": cannot be listened on for metrics: ", error.what()));
  }
  return endpoint;
}

std::string MetricsEndpoint::url() const {
  return absl::StrCat("http://", host_, ":", port(), "/metrics");
}

}  // namespace retort
