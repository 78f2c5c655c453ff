// The networks of a sweep as the claims need them: for each arm, student and teacher the cells of
// the settings that are best on validation.
#ifndef RETORT_CLIENT_SCALING_NETWORK_TABLE_H_
#define RETORT_CLIENT_SCALING_NETWORK_TABLE_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/statusor.h"
#include "client/scaling/claims.h"
#include "client/scaling/jackknife.h"

namespace retort::scaling {

// Arms of scratch; others are named by their method, and teachers by kTeacherArm.
inline constexpr char kOneHot[] = "one-hot";
inline constexpr char kGaussian[] = "gaussian";
inline constexpr char kTeacherArm[] = "teacher";

// One network tested on one subject; numbers as those of NetworkTable::clusters().
struct ErrorCell {
  int subject = 0;
  int training = 0;
  int fold = 0;
  PerDecoding mae_bpm = {};
};

struct ModelFacts {
  std::string name;
  std::string family;
  double params = 0;
  double params_body = 0;
  double bytes = 0;
  double latency_ms = 0;
  std::string latency_machine;
};

// Cells of one arm, student and teacher.
struct Group {
  std::vector<ErrorCell> cells;
  std::optional<double> validation_mae_bpm;  // mean over networks; unset if any has none
};

class NetworkTable {
 public:
  // INVALID_ARGUMENT as JudgeClaims.
  static absl::StatusOr<NetworkTable> Make(const std::vector<TestedNetwork>& networks);

  const Clusters& clusters() const { return clusters_; }
  // By parameters, the smallest first.
  const std::vector<ModelFacts>& students() const { return students_; }
  const std::vector<ModelFacts>& teachers() const { return teachers_; }
  // Of all that students learnt from, the given ones too.
  const std::set<std::string>& teacher_names() const { return teacher_names_; }
  // Methods that learn from a teacher, in the order hard, soft, dkd, feature.
  const std::vector<std::string>& methods() const { return methods_; }
  // Of one-hot and Gaussian those that were run.
  const std::vector<std::string>& scratch_arms() const { return scratch_arms_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

  // Null if there is none. `teacher` is empty for scratch arms and for teachers themselves.
  const Group* Find(const std::string& arm, const std::string& model,
                    const std::string& teacher) const;
  // Cells over all teachers.
  std::vector<ErrorCell> CellsOf(const std::string& arm, const std::string& model) const;
  // The scratch arm that validation prefers for the student; the only one if there is one. Nothing
  // if there is none, or if validation errors are missing.
  std::optional<std::string> BetterScratch(const std::string& model) const;

 private:
  using Key = std::tuple<std::string, std::string, std::string>;  // arm, model, teacher

  void Choose(const std::vector<TestedNetwork>& networks);
  void ListModels(const std::vector<TestedNetwork>& networks);

  Clusters clusters_{{}};
  std::vector<ModelFacts> students_, teachers_;
  std::set<std::string> teacher_names_;
  std::vector<std::string> methods_, scratch_arms_, warnings_;
  std::map<Key, Group> groups_;
};

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_NETWORK_TABLE_H_
