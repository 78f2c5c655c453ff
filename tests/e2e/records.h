// What a coordinator's database holds after everything has ended, for comparison with another's.
#ifndef RETORT_TESTS_E2E_RECORDS_H_
#define RETORT_TESTS_E2E_RECORDS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace retort::e2e {

// What must not depend on what happened on the way: all but times, workers and attempt numbers.
struct Records {
  std::map<std::string, std::string> jobs;     // id -> state
  std::map<std::string, std::string> results;  // job -> every column, as text
  std::map<std::string, std::string> series;   // job and series -> all `step=value`
  std::map<std::string, std::string> latest;   // job and series -> the last of them

  friend bool operator==(const Records&, const Records&) = default;
};

// Reads the database of a coordinator that does not run.
Records ReadRecords(const std::string& server_folder);

// Contradictions inside the database: each a line, none if all is well. Expects that every job has
// succeeded.
std::vector<std::string> FindContradictions(const std::string& server_folder);

// Attempts by how they ended, `succeeded` among them.
std::map<std::string, int64_t> CountAttempts(const std::string& server_folder);

}  // namespace retort::e2e

#endif  // RETORT_TESTS_E2E_RECORDS_H_
