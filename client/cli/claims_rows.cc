#include "client/cli/claims_rows.h"

#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/table.h"
#include "client/scaling/smallest_student.h"
#include "common/spec/labels.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr const char* kDecodings[scaling::kDecodings] = {"median", "argmax", "expectation"};

scaling::TestedNetwork NetworkOf(const v1::Job& job) {
  const v1::ModelCost& cost = job.result().cost();
  scaling::TestedNetwork network;
  network.is_teacher = job.kind() == v1::JOB_KIND_TEACHER;
  network.model = job.model();
  network.family = job.model().substr(0, job.model().find('-'));
  network.method = MethodName(job.spec().method());
  network.gaussian = job.spec().method().scratch().sigma() > 0;
  network.settings = absl::StrCat(job.method(), " ", job.spec().train().ShortDebugString());
  network.teacher = network.is_teacher ? "" : job.teacher();
  network.fold = job.fold();
  network.seed = job.seed();
  if (job.result().has_validation())
    network.validation_mae_bpm = job.result().validation().mae_bpm();
  network.params = static_cast<double>(cost.params());
  network.params_body = static_cast<double>(cost.params_body());
  network.bytes = cost.size_bytes() > 0 ? static_cast<double>(cost.size_bytes())
                                        : 4 * static_cast<double>(cost.params());
  network.latency_ms = cost.latency_ms();
  network.latency_machine = cost.latency_machine();
  for (const auto& subject : job.result().evaluations(0).subjects()) {
    network.subjects.push_back({subject.subject(),
                                {subject.metrics().mae_bpm(), subject.metrics().mae_argmax_bpm(),
                                 subject.metrics().mae_expectation_bpm()}});
  }
  return network;
}

Json OrNull(const std::optional<double>& value) { return value ? Number(*value) : Json(nullptr); }

Json TextOrNull(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json PartJson(const scaling::ClaimPart& part) {
  Json json = {{"of", part.of},
               {"scope", part.scope},
               {"compared_with", part.compared_with},
               {"effect", OrNull(part.effect)},
               {"low", part.interval ? Number(part.interval->low) : Json(nullptr)},
               {"high", part.interval ? Number(part.interval->high) : Json(nullptr)},
               {"unit", part.unit},
               {"margin", Number(part.margin)},
               {"p_yes_holm", OrNull(part.p_yes_holm)},
               {"p_no_holm", OrNull(part.p_no_holm)},
               {"answer", scaling::AnswerName(part.answer)},
               {"reason", TextOrNull(part.reason)},
               {"subjects", part.subjects}};
  for (int d = 0; d < scaling::kDecodings; ++d)
    json[absl::StrCat("answer_", kDecodings[d])] = scaling::AnswerName(part.by_decoding[d]);
  Json details = Json::object();
  for (const auto& [name, value] : part.details) details[name] = Number(value);
  json["details"] = details;
  return json;
}

std::string EffectText(const Json& row) {
  if (row.at("effect").is_null()) return "-";
  std::string text = absl::StrFormat("%+.2f", row["effect"].get<double>());
  if (!row.at("low").is_null()) {
    absl::StrAppendFormat(&text, " [%+.2f, %+.2f]", row["low"].get<double>(),
                          row["high"].get<double>());
  }
  return text;
}

std::string DetailsText(const Json& row) {
  std::string text;
  for (const auto& item : row.at("details").items()) {
    if (item.key().ends_with(" low") || item.key().ends_with(" high")) continue;
    absl::StrAppend(&text, text.empty() ? "" : ", ", item.key(), " ",
                    item.value().is_null() ? "-" : Fixed(item.value().get<double>(), 2));
  }
  return text;
}

void PrintClaim(Context& context, const Json& claim) {
  std::ostream& out = context.terminal.out;
  out << absl::StrCat("C", claim.at("claim").get<int>(), " ",
                      claim.at("statement").get<std::string>(), " ",
                      claim.at("answer").get<std::string>(), "\n");
  const std::vector<Json> parts(claim.at("parts").begin(), claim.at("parts").end());
  if (!parts.empty()) {
    const std::string unit = parts.front().at("unit").get<std::string>();
    out << TableText(parts,
                     {{"of", "of", 0, {}},
                      {"scope", "students", 0, {}, Room::kSpare},
                      {"compared_with", "beside", 0, {}},
                      {"effect", unit, 0, EffectText},
                      {"answer", "answer", 0, {}, Room::kNeeded},
                      {"details", "more", 0, DetailsText, Room::kSpare}},
                     context.terminal);
  }
  std::set<std::string> said;
  for (const Json& part : parts) {
    if (!part.at("reason").is_string()) continue;
    const auto reason = part["reason"].get<std::string>();
    const std::string line = absl::StrCat("  ", part.at("of").get<std::string>(), ", ",
                                          part.at("scope").get<std::string>(), ": ", reason, "\n");
    if (reason.find("flips") != std::string::npos) {
      out << line;
    } else if (said.insert(reason).second) {
      out << "  not resolved: " << reason << "\n";
    }
  }
  if (parts.empty()) out << "  " << claim.at("reason").get<std::string>() << "\n";
  for (const Json& warning : claim.at("warnings"))
    out << "  " << warning.get<std::string>() << "\n";
  out << "\n";
}

}  // namespace

absl::StatusOr<std::vector<scaling::TestedNetwork>> NetworksOf(const SweepResults& results) {
  std::vector<scaling::TestedNetwork> networks;
  std::set<std::string> datasets;
  for (size_t i = 0; i < results.jobs.size(); ++i) {
    if (!results.selected[i]) continue;
    const v1::Job& job = results.jobs[i];
    datasets.insert(job.spec().dataset().sha256());
    networks.push_back(NetworkOf(job));
  }
  if (datasets.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("--claims: the jobs were trained on ", datasets.size(),
                     " datasets; claims are about one: run a sweep for each"));
  }
  return networks;
}

absl::StatusOr<std::vector<scaling::Claim>> ClaimsOf(const SweepResults& results,
                                                     double confidence) {
  RETORT_ASSIGN_OR_RETURN(const auto networks, NetworksOf(results));
  if (networks.empty()) {
    return absl::FailedPreconditionError("--claims: no job has a result yet");
  }
  scaling::ClaimOptions options;
  options.confidence = confidence;
  return scaling::JudgeClaims(networks, options);
}

std::vector<Json> ClaimRows(const std::vector<scaling::Claim>& claims) {
  std::vector<Json> rows;
  for (const scaling::Claim& claim : claims) {
    Json parts = Json::array();
    for (const scaling::ClaimPart& part : claim.parts) parts.push_back(PartJson(part));
    rows.push_back({{"claim", claim.number},
                    {"statement", claim.statement},
                    {"answer", scaling::AnswerName(claim.answer)},
                    {"reason", TextOrNull(claim.reason)},
                    {"parts", parts},
                    {"warnings", claim.warnings}});
  }
  return rows;
}

std::vector<Json> ClaimPartRows(const std::vector<scaling::Claim>& claims) {
  std::vector<Json> rows;
  for (const scaling::Claim& claim : claims) {
    for (const scaling::ClaimPart& part : claim.parts) {
      Json row = {{"claim", claim.number}, {"claim_answer", scaling::AnswerName(claim.answer)}};
      row.update(PartJson(part));
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

void EmitClaims(Context& context, const std::vector<scaling::Claim>& claims) {
  if (context.format == Format::kCsv) {
    return EmitRows(context, ClaimPartRows(claims), {{"claim", "claim", 0, {}}});
  }
  const std::vector<Json> rows = ClaimRows(claims);
  if (context.format != Format::kTable) {
    return EmitRows(context, rows, {{"claim", "claim", 0, {}}});
  }
  for (const Json& row : rows) PrintClaim(context, row);
  context.terminal.out
      << "Yes: the interval lies above 0 (C5: below the margin). No: it ends below the margin\n"
         "(C5: lies above it). Each end stands at its step of Holm's procedure over the parts of\n"
         "a claim. An answer that differs between the decodings is not resolved.\n";
  context.terminal.out.flush();
}

Json SmallestStudentJson(const SweepResults& results, double mae_bpm, double confidence) {
  Json json = {{"mae_bpm", Number(mae_bpm)}, {"confidence", Number(confidence)},
               {"smallest", nullptr},        {"candidates", Json::array()},
               {"warnings", Json::array()},  {"problem", nullptr}};
  const auto networks = NetworksOf(results);
  const auto found = networks.ok() ? scaling::FindSmallestStudent(*networks, mae_bpm, confidence)
                                   : absl::StatusOr<scaling::SmallestStudent>(networks.status());
  if (!found.ok()) {
    json["problem"] = MessageOf(found.status());
    return json;
  }
  for (const scaling::StudentCandidate& candidate : found->candidates) {
    json["candidates"].push_back({{"model", candidate.model},
                                  {"method", candidate.arm},
                                  {"teacher", TextOrNull(candidate.teacher)},
                                  {"params", Number(candidate.params)},
                                  {"params_body", Number(candidate.params_body)},
                                  {"val_mae_bpm", Number(candidate.validation_mae_bpm)},
                                  {"mae_bpm", Number(candidate.mae_bpm)},
                                  {"upper_bpm", OrNull(candidate.upper_bpm)},
                                  {"keeps", candidate.keeps},
                                  {"problem", TextOrNull(candidate.problem)}});
  }
  if (found->smallest) json["smallest"] = json["candidates"][*found->smallest];
  json["warnings"] = found->warnings;
  return json;
}

std::string SmallestStudentText(const Json& answer, const Terminal& terminal) {
  const std::string asked =
      absl::StrCat("at most ", answer.at("mae_bpm").get<double>(), " BPM, sure to ",
                   100 * answer.at("confidence").get<double>(), " %");
  if (answer.at("problem").is_string()) {
    return absl::StrCat("\nThe smallest student over all methods with ", asked,
                        ": not known: ", answer["problem"].get<std::string>(), "\n");
  }
  std::string text = absl::StrCat("\nThe smallest student over all methods with ", asked, ": ");
  if (const Json& best = answer.at("smallest"); best.is_null()) {
    absl::StrAppend(&text, "none\n");
  } else {
    absl::StrAppend(&text, best.at("model").get<std::string>(), " by ",
                    best.at("method").get<std::string>(), ", ",
                    absl::StrFormat("%.0f", best.at("params").get<double>()), " parameters\n");
  }
  absl::StrAppend(
      &text,
      "Method and teacher of each student are chosen on validation, and students are tested in the "
      "order of validation until one is not sure:\n");
  const std::vector<Json> rows(answer.at("candidates").begin(), answer.at("candidates").end());
  absl::StrAppend(&text, TableText(rows,
                                   {{"model", "student", 0, {}, Room::kNeeded},
                                    {"method", "method", 0, {}},
                                    {"teacher", "teacher", 0, {}, Room::kSpare},
                                    {"params", "params", 0, {}},
                                    {"val_mae_bpm", "validation", 2, {}},
                                    {"mae_bpm", "test MAE", 2, {}},
                                    {"upper_bpm", "sure to be below", 2, {}},
                                    {"keeps", "keeps it", 0,
                                     [](const Json& row) {
                                       return std::string(row.at("keeps").get<bool>() ? "yes" : "");
                                     }},
                                    {"problem", "more", 0, {}, Room::kSpare}},
                                   terminal));
  return text;
}

}  // namespace retort
