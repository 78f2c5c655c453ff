#include "server/metrics/readings.h"

namespace retort {

std::vector<Reading> ReadingsOf(const Coordinator& coordinator, const ArtifactStore& artifacts) {
  using Values = std::vector<Reading::Value>;
  std::vector<Reading> readings;
  readings.push_back(
      {"retort_inbox_inputs", "Inputs that wait for the strand, by lane.", false, [&coordinator] {
         const auto waiting = coordinator.waiting();
         const auto value = [&](const char* lane, size_t i) {
           return Reading::Value{"lane", lane, static_cast<double>(waiting[i])};
         };
         return Values{value("syncs", 0), value("streams", 1), value("requests", 2)};
       }});
  readings.push_back({"retort_syncs_total", "Syncs of workers.", true, [&coordinator] {
                        return Values{{"", "", static_cast<double>(coordinator.syncs())}};
                      }});
  readings.push_back({"retort_workers", "Workers that are present, and those that are away.", false,
                      [&coordinator] {
                        double present = 0, away = 0;
                        for (const auto& [name, worker] : coordinator.progress()->workers) {
                          (worker.seen == absl::InfinitePast() ? away : present) += 1;
                        }
                        return Values{{"state", "present", present}, {"state", "away", away}};
                      }});
  readings.push_back({"retort_artifact_bytes_total",
                      "Bytes of artifacts that came in and went out.", true, [&artifacts] {
                        return Values{
                            {"direction", "in", static_cast<double>(artifacts.bytes_in())},
                            {"direction", "out", static_cast<double>(artifacts.bytes_out())}};
                      }});
  return readings;
}

}  // namespace retort
