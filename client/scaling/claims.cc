#include "client/scaling/claims.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/scaling/contrast.h"
#include "client/scaling/largest_size.h"
#include "client/scaling/network_table.h"
#include "common/status.h"

namespace retort::scaling {
namespace {

// Errors below this count as this in logarithms.
constexpr double kLeastBpm = 0.01;
// Networks whose parameters differ by less than this factor are matched.
constexpr double kMatchedWithin = 1.25;

absl::Status CheckOptions(const ClaimOptions& options) {
  const auto wrong = [](const char* field, double value, const char* right) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": ", value, "; ", right));
  };
  if (!(options.confidence > 0.5 && options.confidence < 1))
    return wrong("confidence", options.confidence, "must be between 0.5 and 1; 0.95 is usual");
  for (const auto& [field, value] : {std::pair("gain_margin_bpm", options.gain_margin_bpm),
                                     std::pair("family_margin", options.family_margin),
                                     std::pair("edge_margin_bpm", options.edge_margin_bpm),
                                     std::pair("edge_times_smaller", options.edge_times_smaller),
                                     std::pair("edge_times_faster", options.edge_times_faster)}) {
    if (!(std::isfinite(value) && value > 0)) return wrong(field, value, "must be above 0");
  }
  return absl::OkStatus();
}

// `hard no; soft, dkd not resolved`.
std::string Summary(const std::vector<const ClaimPart*>& parts) {
  std::vector<std::string> texts;
  for (const Answer answer : {Answer::kYes, Answer::kNo, Answer::kNotResolved}) {
    std::vector<std::string> names;
    for (const ClaimPart* part : parts) {
      if (part->answer == answer) names.push_back(part->of);
    }
    if (!names.empty())
      texts.push_back(absl::StrCat(absl::StrJoin(names, ", "), ": ", AnswerName(answer)));
  }
  return absl::StrJoin(texts, "; ");
}

bool All(const std::vector<const ClaimPart*>& parts, Answer answer) {
  return !parts.empty() && std::all_of(parts.begin(), parts.end(), [&](const ClaimPart* part) {
    return part->answer == answer;
  });
}

bool Any(const std::vector<const ClaimPart*>& parts, Answer answer) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](const ClaimPart* part) { return part->answer == answer; });
}

std::vector<const ClaimPart*> Pointers(const std::vector<ClaimPart>& parts,
                                       const std::string& scope = "") {
  std::vector<const ClaimPart*> pointers;
  for (const ClaimPart& part : parts) {
    if (scope.empty() || part.scope == scope) pointers.push_back(&part);
  }
  return pointers;
}

// Yes or no if all parts say so.
void AnswerByAll(const std::vector<const ClaimPart*>& parts, Claim& claim) {
  if (All(parts, Answer::kYes)) claim.answer = Answer::kYes;
  if (All(parts, Answer::kNo)) claim.answer = Answer::kNo;
  if (claim.reason.empty()) claim.reason = Summary(parts);
}

Claim NewClaim(int number, std::string statement) {
  Claim claim;
  claim.number = number;
  claim.statement = std::move(statement);
  return claim;
}

std::vector<std::string> FamiliesOf(const NetworkTable& table) {
  std::set<std::string> families;
  for (const ModelFacts& student : table.students()) families.insert(student.family);
  return {families.begin(), families.end()};
}

// ---------------------------------------------------------------------------------------------- C1

// Pairs (scratch, method) of the students of a family (all if empty), over `arm`, or over each
// student's better one if empty.
std::vector<Pair> GainPairs(const NetworkTable& table, const std::string& method,
                            const std::string& family, const std::string& arm) {
  std::vector<Pair> pairs;
  for (size_t i = 0; i < table.students().size(); ++i) {
    const ModelFacts& student = table.students()[i];
    if (!family.empty() && student.family != family) continue;
    const auto over = arm.empty() ? table.BetterScratch(student.name) : std::optional(arm);
    if (!over) continue;
    AddPairs(table.CellsOf(*over, student.name), table.CellsOf(method, student.name),
             static_cast<int>(i), pairs);
  }
  return pairs;
}

// The gain over each arm by itself, as details.
void AddArmGains(const NetworkTable& table, const std::string& method, const std::string& family,
                 double confidence, ClaimPart& part) {
  for (const std::string& arm : table.scratch_arms()) {
    const Estimate gain = EstimateOf(GainPairs(table, method, family, arm), MeanDifference);
    if (gain.subjects == 0) continue;
    const std::string name = absl::StrCat("over ", arm);
    part.details.emplace_back(name, gain.effect[0]);
    if (!gain.problem.empty()) continue;
    const Interval interval = ConfidenceInterval(gain.effect[0], gain.uncertainty[0], confidence);
    part.details.emplace_back(name + " low", interval.low);
    part.details.emplace_back(name + " high", interval.high);
  }
}

Claim JudgeGain(const NetworkTable& table, const ClaimOptions& options) {
  Claim claim = NewClaim(1, "Distilled students beat their scratch twins.");
  const std::vector<std::string> families = FamiliesOf(table);
  std::vector<std::string> scopes = {""};
  if (families.size() > 1) scopes.insert(scopes.end(), families.begin(), families.end());
  for (const std::string& family : scopes) {
    std::vector<ClaimPart> parts;
    std::vector<Estimate> estimates;
    for (const std::string& method : table.methods()) {
      ClaimPart part;
      part.of = method;
      part.scope = family.empty() ? "all" : family;
      part.compared_with = "scratch, the arm that validation prefers for each student";
      part.unit = "BPM";
      estimates.push_back(EstimateOf(GainPairs(table, method, family, ""), MeanDifference));
      AddArmGains(table, method, family, options.confidence, part);
      parts.push_back(std::move(part));
    }
    AnswerParts(estimates, options.gain_margin_bpm, options.confidence, parts);
    claim.parts.insert(claim.parts.end(), parts.begin(), parts.end());
  }
  if (table.methods().empty()) claim.reason = "no student learnt from a teacher";
  if (table.scratch_arms().empty()) claim.reason = "no student was learnt from scratch";
  AnswerByAll(Pointers(claim.parts, "all"), claim);
  return claim;
}

// ---------------------------------------------------------------------------------------------- C2

// Pairs (other, dkd) of the same student and teacher.
std::vector<Pair> DkdPairs(const NetworkTable& table, const std::string& other) {
  std::vector<Pair> pairs;
  for (size_t i = 0; i < table.students().size(); ++i) {
    const std::string& student = table.students()[i].name;
    for (const std::string& teacher : table.teacher_names()) {
      const Group* a = table.Find(other, student, teacher);
      const Group* b = table.Find("dkd", student, teacher);
      if (a != nullptr && b != nullptr) AddPairs(a->cells, b->cells, static_cast<int>(i), pairs);
    }
  }
  return pairs;
}

Claim JudgeDkd(const NetworkTable& table, const ClaimOptions& options) {
  Claim claim = NewClaim(2, "DKD gains most of the distillation methods.");
  const auto& methods = table.methods();
  if (std::find(methods.begin(), methods.end(), "dkd") == methods.end() || methods.size() < 2) {
    claim.reason = "needs dkd and another distillation method";
    return claim;
  }
  std::vector<Estimate> estimates;
  for (const std::string& method : methods) {
    if (method == "dkd") continue;
    ClaimPart part;
    part.of = "dkd";
    part.scope = "all";
    part.compared_with = method;
    part.unit = "BPM";
    claim.parts.push_back(part);
    estimates.push_back(EstimateOf(DkdPairs(table, method), MeanDifference));
  }
  AnswerParts(estimates, options.gain_margin_bpm, options.confidence, claim.parts);
  std::vector<std::string> texts;
  for (const ClaimPart& part : claim.parts)
    texts.push_back(absl::StrCat("over ", part.compared_with, " ", AnswerName(part.answer)));
  claim.reason = absl::StrJoin(texts, "; ");
  AnswerByAll(Pointers(claim.parts), claim);
  if (Any(Pointers(claim.parts), Answer::kNo)) claim.answer = Answer::kNo;
  return claim;
}

// ---------------------------------------------------------------------------------------------- C3

// (resnet1d, mlp) of nearly as many parameters, each used once.
std::vector<std::pair<std::string, std::string>> MatchedStudents(const NetworkTable& table) {
  std::vector<std::pair<std::string, std::string>> matched;
  std::set<std::string> used;
  for (const ModelFacts& mlp : table.students()) {
    if (mlp.family != "mlp") continue;
    const ModelFacts* nearest = nullptr;
    const auto distance = [&](const ModelFacts& other) {
      return std::abs(std::log(other.params / mlp.params));
    };
    for (const ModelFacts& resnet : table.students()) {
      if (resnet.family != "resnet1d" || used.contains(resnet.name)) continue;
      if (nearest == nullptr || distance(resnet) < distance(*nearest)) nearest = &resnet;
    }
    if (nearest == nullptr || distance(*nearest) > std::log(kMatchedWithin)) continue;
    used.insert(nearest->name);
    matched.emplace_back(nearest->name, mlp.name);
  }
  return matched;
}

// The mean over subjects of the mean over matched students of log(scratch / method) of the one
// minus that of the other. Items: 2 i of the i-th ResNet, 2 i + 1 of its MLP.
std::optional<PerDecoding> DifferenceOfLogRatios(const std::vector<Pair>& pairs,
                                                 const LeftOut& left_out) {
  struct Sums {
    PerDecoding a = {}, b = {};
    int count = 0;
  };
  std::map<int, std::map<int, Sums>> by_subject;
  for (const Pair& pair : pairs) {
    if (!pair.IsIn(left_out)) continue;
    Sums& sums = by_subject[pair.subject][pair.item];
    for (int d = 0; d < kDecodings; ++d) {
      sums.a[d] += pair.a[d];
      sums.b[d] += pair.b[d];
    }
    ++sums.count;
  }
  const auto log_ratio = [](const Sums& sums, int d) {
    return std::log(std::max(sums.a[d] / sums.count, kLeastBpm)) -
           std::log(std::max(sums.b[d] / sums.count, kLeastBpm));
  };
  PerDecoding total = {};
  int subjects = 0;
  for (const auto& [subject, items] : by_subject) {
    PerDecoding sum = {};
    int matches = 0;
    for (const auto& [item, resnet] : items) {
      const auto mlp = items.find(item + 1);
      if (item % 2 != 0 || mlp == items.end()) continue;
      ++matches;
      for (int d = 0; d < kDecodings; ++d)
        sum[d] += log_ratio(resnet, d) - log_ratio(mlp->second, d);
    }
    if (matches == 0) continue;
    ++subjects;
    for (int d = 0; d < kDecodings; ++d) total[d] += sum[d] / matches;
  }
  if (subjects == 0) return std::nullopt;
  for (double& value : total) value /= subjects;
  return total;
}

Claim JudgeFamilies(const NetworkTable& table, const ClaimOptions& options) {
  Claim claim = NewClaim(3, "ResNet students gain more than MLPs of their size.");
  const auto matched = MatchedStudents(table);
  if (matched.empty()) {
    claim.reason = "no resnet1d and mlp students whose parameters differ by less than a quarter";
    return claim;
  }
  std::vector<std::string> texts;
  for (const auto& [resnet, mlp] : matched) texts.push_back(absl::StrCat(resnet, " and ", mlp));
  std::vector<Estimate> estimates;
  for (const std::string& method : table.methods()) {
    std::vector<Pair> pairs;
    for (size_t i = 0; i < matched.size(); ++i) {
      const auto& [resnet, mlp] = matched[i];
      const auto resnet_arm = table.BetterScratch(resnet), mlp_arm = table.BetterScratch(mlp);
      if (!resnet_arm || !mlp_arm) continue;
      const int item = static_cast<int>(2 * i);
      AddPairs(table.CellsOf(*resnet_arm, resnet), table.CellsOf(method, resnet), item, pairs);
      AddPairs(table.CellsOf(*mlp_arm, mlp), table.CellsOf(method, mlp), item + 1, pairs);
    }
    ClaimPart part;
    part.of = method;
    part.scope = absl::StrJoin(texts, ", ");
    part.compared_with = "MLPs";
    part.unit = "log ratio";
    claim.parts.push_back(part);
    estimates.push_back(EstimateOf(std::move(pairs), DifferenceOfLogRatios));
  }
  AnswerParts(estimates, std::log1p(options.family_margin), options.confidence, claim.parts);
  AnswerByAll(Pointers(claim.parts), claim);
  return claim;
}

// ---------------------------------------------------------------------------------------------- C4

Claim JudgeSize(const NetworkTable& table, const ClaimOptions& options) {
  Claim claim = NewClaim(4, "Error falls predictably with size.");
  std::vector<std::string> arms = table.scratch_arms();
  arms.insert(arms.end(), table.methods().begin(), table.methods().end());
  for (const std::string& family : FamiliesOf(table)) {
    const auto parts = PredictLargest(table, family, arms, options.confidence);
    claim.parts.insert(claim.parts.end(), parts.begin(), parts.end());
  }
  if (claim.parts.empty()) {
    claim.reason =
        absl::StrCat("no family has students of ", kFewestSizesToPredict, " sizes or more");
  }
  AnswerByAll(Pointers(claim.parts), claim);
  return claim;
}

// ---------------------------------------------------------------------------------------------- C5

struct Edge {
  ClaimPart part;
  Estimate estimate;
  bool promising = true;  // on validation
};

bool HaveComparableLatencies(const ModelFacts& a, const ModelFacts& b) {
  return a.latency_ms > 0 && b.latency_ms > 0 && a.latency_machine == b.latency_machine;
}

// What a student of a method is beside a teacher; nothing if it is not so much smaller and faster.
std::optional<Edge> EdgeOf(const NetworkTable& table, const ModelFacts& student,
                           const std::string& method, const ModelFacts& teacher,
                           const ClaimOptions& options) {
  const Group* of_student = table.Find(method, student.name, teacher.name);
  const Group* of_teacher = table.Find(kTeacherArm, teacher.name, "");
  if (of_student == nullptr || of_teacher == nullptr) return std::nullopt;
  if (!HaveComparableLatencies(student, teacher)) return std::nullopt;
  const double smaller = teacher.bytes / student.bytes;
  const double faster = teacher.latency_ms / student.latency_ms;
  if (!(smaller >= options.edge_times_smaller) || !(faster >= options.edge_times_faster))
    return std::nullopt;
  Edge edge;
  edge.part.of = absl::StrCat(student.name, " by ", method);
  edge.part.scope = student.family;
  edge.part.compared_with = teacher.name;
  edge.part.unit = "BPM";
  edge.part.details = {{"times fewer bytes", smaller}, {"times lower latency", faster}};
  std::vector<Pair> pairs;
  AddPairs(of_student->cells, of_teacher->cells, 0, pairs);
  edge.estimate = EstimateOf(std::move(pairs), MeanDifference);
  if (of_student->validation_mae_bpm && of_teacher->validation_mae_bpm) {
    edge.promising =
        *of_student->validation_mae_bpm - *of_teacher->validation_mae_bpm < options.edge_margin_bpm;
  }
  return edge;
}

// Within the margin: yes is an upper end below it, no a lower end above it. As Rule() has it with
// effect' = margin - effect, and "no" below 0.
void AnswerEdges(double margin, double confidence, std::vector<ClaimPart>& parts,
                 std::vector<Estimate> estimates) {
  for (Estimate& estimate : estimates) {
    for (double& effect : estimate.effect) effect = margin - effect;
  }
  AnswerParts(estimates, 0, confidence, parts);
  for (ClaimPart& part : parts) {
    part.margin = margin;
    if (part.effect) part.effect = margin - *part.effect;
    if (part.interval)
      part.interval = Interval{margin - part.interval->high, margin - part.interval->low};
    if (part.reason == "the interval neither lies above 0 nor ends below the margin")
      part.reason = "the interval contains the margin";
  }
}

// Leaves those that validation has near their teacher, so that the test need not pay for the others
// in Holm's procedure; all where there is none. How many were taken away.
size_t SetAside(std::vector<Edge>& edges) {
  const bool any =
      std::any_of(edges.begin(), edges.end(), [](const Edge& edge) { return edge.promising; });
  return any ? std::erase_if(edges, [](const Edge& edge) { return !edge.promising; }) : 0;
}

Claim JudgeEdge(const NetworkTable& table, const ClaimOptions& options) {
  Claim claim = NewClaim(5, "Some distilled student is ready for the edge.");
  std::vector<Edge> edges;
  bool latency_known = false;
  for (const ModelFacts& teacher : table.teachers()) {
    for (const ModelFacts& student : table.students()) {
      latency_known = latency_known || HaveComparableLatencies(student, teacher);
      for (const std::string& method : table.methods()) {
        auto edge = EdgeOf(table, student, method, teacher, options);
        if (edge) edges.push_back(*std::move(edge));
      }
    }
  }
  const auto set_aside = SetAside(edges);
  std::vector<Estimate> estimates;
  for (Edge& edge : edges) {
    claim.parts.push_back(std::move(edge.part));
    estimates.push_back(std::move(edge.estimate));
  }
  AnswerEdges(options.edge_margin_bpm, options.confidence, claim.parts, std::move(estimates));
  const auto all = Pointers(claim.parts);
  if (!latency_known) {
    claim.reason = "no student and teacher whose latencies were measured on one machine";
  } else if (all.empty()) {
    claim.answer = Answer::kNo;
    claim.reason = "no student is so much smaller and faster than a teacher of it";
  } else if (Any(all, Answer::kYes)) {
    claim.answer = Answer::kYes;
    std::vector<std::string> names;
    for (const ClaimPart* part : all) {
      if (part->answer == Answer::kYes)
        names.push_back(absl::StrCat(part->of, " beside ", part->compared_with));
    }
    claim.reason = absl::StrJoin(names, ", ");
  } else {
    AnswerByAll(all, claim);
  }
  if (set_aside > 0) {
    claim.warnings.push_back(absl::StrCat(
        set_aside, " students were set aside before the test, since validation has them more than ",
        options.edge_margin_bpm, " BPM behind their teacher"));
  }
  return claim;
}

}  // namespace

std::string AnswerName(Answer answer) {
  switch (answer) {
    case Answer::kYes:
      return "yes";
    case Answer::kNo:
      return "no";
    case Answer::kNotResolved:
      break;
  }
  return "not resolved";
}

absl::StatusOr<std::vector<Claim>> JudgeClaims(const std::vector<TestedNetwork>& networks,
                                               const ClaimOptions& options) {
  RETORT_RETURN_IF_ERROR(CheckOptions(options));
  RETORT_ASSIGN_OR_RETURN(const NetworkTable table, NetworkTable::Make(networks));
  std::vector<Claim> claims = {JudgeGain(table, options), JudgeDkd(table, options),
                               JudgeFamilies(table, options), JudgeSize(table, options),
                               JudgeEdge(table, options)};
  for (Claim& claim : claims) {
    claim.warnings.insert(claim.warnings.begin(), table.warnings().begin(), table.warnings().end());
  }
  return claims;
}

}  // namespace retort::scaling
