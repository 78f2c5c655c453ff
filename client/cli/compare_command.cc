// `retort job compare`: what two jobs were asked to do differently, and what came of it.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client/cli/commands.h"
#include "client/cli/rows.h"
#include "client/cli/table.h"

namespace retort {
namespace {

// Values that are not nested, by their path: `train.peak_lr`, `evaluate[0].sha256`.
void Flatten(const std::string& path, const Json& value, std::vector<std::string>& order,
             std::map<std::string, Json>& out) {
  if (value.is_object()) {
    for (const auto& item : value.items()) {
      Flatten(path.empty() ? item.key() : path + "." + item.key(), item.value(), order, out);
    }
  } else if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) {
      Flatten(path + "[" + std::to_string(i) + "]", value[i], order, out);
    }
  } else {
    order.push_back(path);
    out[path] = value;
  }
}

// Subjects by name instead of by place, so that each stands beside itself.
Json BySubject(const Json& result) {
  if (result.is_null()) return result;
  Json out = result;
  Json subjects = Json::object();
  for (const Json& subject : result.at("subjects")) {
    subjects[subject.at("subject").get<std::string>()] = {{"mae_bpm", subject.at("mae_bpm")}};
  }
  out["subjects"] = subjects;
  // `spec` and the job itself say these.
  for (const char* key : {"job", "state", "attempt", "selected"}) out.erase(key);
  return out;
}

void AddDifferences(const char* part, const Json& a, const Json& b, std::vector<Json>& rows) {
  std::vector<std::string> order, more;
  std::map<std::string, Json> left, right;
  Flatten("", a, order, left);
  Flatten("", b, more, right);
  for (const std::string& path : more) {
    if (!left.contains(path)) order.push_back(path);
  }
  for (const std::string& path : order) {
    const Json x = left.contains(path) ? left[path] : Json(nullptr);
    const Json y = right.contains(path) ? right[path] : Json(nullptr);
    if (path.empty() || x == y) continue;
    const bool numbers = x.is_number() && y.is_number();
    rows.push_back(
        {{"part", part},
         {"field", path},
         {"a", x},
         {"b", y},
         {"b_minus_a", numbers ? Number(y.get<double>() - x.get<double>()) : Json(nullptr)}});
  }
}

// What became of a job, but for its result.
Json OutcomeOf(const Json& details) {
  Json out;
  for (const char* key : {"state", "attempt", "worker", "failure", "failure_message"}) {
    out[key] = details.at(key);
  }
  return out;
}

std::string ValueText(const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) return value.get<std::string>();
  return value.is_number_float() ? Fixed(value.get<double>(), 4) : value.dump();
}

const std::vector<Column>& DifferenceColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"part", "part", 0, {}},
      {"field", "field", 0, {}, Room::kNeeded},
      {"a", "A", 0, [](const Json& row) { return ValueText(row.at("a")); }, Room::kNeeded},
      {"b", "B", 0, [](const Json& row) { return ValueText(row.at("b")); }, Room::kNeeded},
      {"b_minus_a", "B - A", 4, {}},
  };
  return columns;
}

void Compare(Context& context, const std::string& a, const std::string& b) {
  Client client = context.NewClient();
  Json details[2];
  std::string names[2];
  for (int i = 0; i < 2; ++i) {
    const auto job = client.GetJob(i == 0 ? a : b);
    if (!job.ok()) return context.Fail(job.status());
    names[i] = ShortName(job->name());
    details[i] = JobDetails(*job);
  }
  if (names[0] == names[1]) {
    return context.Fail(absl::InvalidArgumentError(
        "job compare: both are job " + names[0].substr(0, 12) + "; give two different ones"));
  }
  std::vector<Json> rows;
  AddDifferences("spec", details[0]["spec"], details[1]["spec"], rows);
  const size_t in_spec = rows.size();
  AddDifferences("outcome", OutcomeOf(details[0]), OutcomeOf(details[1]), rows);
  AddDifferences("result", BySubject(details[0]["result"]), BySubject(details[1]["result"]), rows);
  EmitRows(context, rows, DifferenceColumns());
  if (context.format != Format::kTable) return;
  context.terminal.out << "A is " << names[0].substr(0, 12) << ", B is " << names[1].substr(0, 12)
                       << ": " << in_spec << " differences in what is trained, "
                       << rows.size() - in_spec << " in what came of it." << std::endl;
}

}  // namespace

void AddJobCompare(CLI::App& group, Context& context) {
  CLI::App* compare =
      group.add_subcommand("compare", "what differs between two jobs, in spec and outcome");
  const auto jobs = std::make_shared<std::pair<std::string, std::string>>();
  compare->add_option("A", jobs->first, "id of a job, or at least 6 of its first digits")
      ->required();
  compare->add_option("B", jobs->second, "the other job")->required();
  compare->callback([&context, jobs] { Compare(context, jobs->first, jobs->second); });
}

}  // namespace retort
