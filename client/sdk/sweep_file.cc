#include "client/sdk/sweep_file.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/sdk/given_teachers.h"
#include "client/sdk/sweep_checks.h"
#include "client/sdk/sweep_parts.h"
#include "client/sdk/sweep_reader.h"
#include "client/sdk/yaml_tree.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/ids.h"
#include "common/names.h"
#include "common/spec/dataset.h"
#include "common/status.h"

namespace retort {
namespace {

// What a dataset's entry says.
struct DatasetEntry {
  std::string name;
  std::string path;     // as written
  std::string prepare;  // the command that makes it; may be empty
};

const std::vector<std::string>& TopKeys() {
  static const auto& keys = *new std::vector<std::string>{
      "name",     "description", "priority",   "datasets",         "train_on",
      "evaluate", "split",       "teachers",   "students",         "methods",
      "train",    "seeds",       "zip",        "exclude",          "overrides",
      "select",   "budget",      "memory_gib", "checkpoint_every", "wall_limit"};
  return keys;
}

absl::Status ReadHead(const SweepReader& reader, const YamlNode& root, v1::SweepSpec& spec) {
  for (const char* key : {"name", "datasets", "split"}) {
    if (root.Find(key) == nullptr) {
      return reader.Fail(
          "", absl::StrCat(key, ": missing; every sweep needs name, datasets and split"));
    }
  }
  RETORT_ASSIGN_OR_RETURN(const std::string name, reader.Text(*root.Find("name"), "name"));
  if (const absl::Status good = CheckSweepName(name); !good.ok()) {
    return reader.Fail("name", absl::StrCat("'", name.substr(0, 80),
                                            "'; must be 1 to 63 lower-case "
                                            "letters, digits and '-', beginning with a letter or "
                                            "digit"));
  }
  spec.set_name(name);
  if (const YamlNode* node = root.Find("description"); node != nullptr) {
    RETORT_ASSIGN_OR_RETURN(const std::string text, reader.Text(*node, "description"));
    if (text.size() > 4096) {
      return reader.Fail("description", absl::StrCat(text.size(), " bytes; must be at most 4096"));
    }
    spec.set_description(text);
  }
  if (const YamlNode* node = root.Find("priority"); node != nullptr) {
    RETORT_RETURN_IF_ERROR(reader.Set(spec, "priority", *node, "priority"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<DatasetEntry>> ReadDatasetEntries(const SweepReader& reader,
                                                             const YamlNode& node) {
  if (!node.is_mapping() || node.items.empty()) {
    return reader.Expected(node, "datasets", "a mapping such as {lab: {path: lab.safetensors}}");
  }
  std::vector<DatasetEntry> entries;
  for (const YamlNode& item : node.items) {
    const std::string path = "datasets." + item.key;
    DatasetEntry entry{item.key, "", ""};
    if (const absl::Status good = CheckShortName(item.key); !good.ok()) {
      return reader.FailAtKey(item, path, MessageOf(good));
    }
    RETORT_RETURN_IF_ERROR(reader.CheckKeys(item, path, {"path", "prepare"}));
    const YamlNode* file = item.Find("path");
    if (file == nullptr) return reader.Fail(path, "no path; expected {path: FILE.safetensors}");
    RETORT_ASSIGN_OR_RETURN(entry.path, reader.Text(*file, path + ".path"));
    if (const YamlNode* prepare = item.Find("prepare"); prepare != nullptr) {
      RETORT_ASSIGN_OR_RETURN(entry.prepare, reader.Text(*prepare, path + ".prepare"));
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

absl::Status ReadAxes(const SweepReader& reader, const YamlNode& root, SweepDraft& draft) {
  v1::SweepSpec& spec = draft.spec;
  using Names = google::protobuf::RepeatedPtrField<std::string>;
  for (const auto& [key, names] :
       {std::pair<const char*, Names*>("train_on", spec.mutable_train_on()),
        {"evaluate", spec.mutable_evaluate()}}) {
    const YamlNode* node = root.Find(key);
    if (node == nullptr) continue;
    RETORT_ASSIGN_OR_RETURN(const auto texts, reader.Texts(*node, key));
    names->Assign(texts.begin(), texts.end());
  }
  if (const YamlNode* node = root.Find("seeds"); node != nullptr) {
    RETORT_ASSIGN_OR_RETURN(const auto seeds,
                            reader.Numbers(*node, "seeds", std::numeric_limits<int64_t>::max()));
    spec.mutable_seeds()->Assign(seeds.begin(), seeds.end());
  }
  using ReadPart = absl::Status (*)(const SweepReader&, const YamlNode&, SweepDraft&);
  const std::pair<const char*, ReadPart> parts[] = {
      {"split", ReadSplit},     {"teachers", ReadTeachers},  {"students", ReadStudents},
      {"methods", ReadMethods}, {"train", ReadTrain},        {"zip", ReadZip},
      {"exclude", ReadExclude}, {"overrides", ReadOverrides}};
  for (const auto& [key, read] : parts) {
    if (const YamlNode* node = root.Find(key); node != nullptr) {
      RETORT_RETURN_IF_ERROR(read(reader, *node, draft));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadLimits(const SweepReader& reader, const YamlNode& root, v1::SweepSpec& spec) {
  if (const YamlNode* node = root.Find("select"); node != nullptr) {
    RETORT_RETURN_IF_ERROR(reader.SetAll(*spec.mutable_select(), *node, "select"));
    if (spec.select().by() != "val.mae_bpm") {
      return reader.Fail("select.by", absl::StrCat("'", spec.select().by(),
                                                   "'; expected val.mae_bpm, the error on the "
                                                   "validation subjects"));
    }
  }
  if (const YamlNode* node = root.Find("budget"); node != nullptr) {
    RETORT_RETURN_IF_ERROR(reader.SetAll(*spec.mutable_budget(), *node, "budget"));
  }
  for (const char* field : {"memory_gib", "checkpoint_every", "wall_limit"}) {
    const YamlNode* node = root.Find(field);
    if (node != nullptr) RETORT_RETURN_IF_ERROR(reader.Set(spec, field, *node, field));
  }
  return absl::OkStatus();
}

bool IsTrainedOn(const v1::SweepSpec& spec, const std::string& dataset) {
  return spec.train_on().empty() ||
         std::count(spec.train_on().begin(), spec.train_on().end(), dataset) > 0;
}

// Reads one dataset: its facts into the spec, its place into the result. One that says that its
// subjects cannot be told apart must not be trained on: a split would put a person on both sides.
absl::Status ReadOneDataset(const SweepReader& reader, const DatasetEntry& entry,
                            const std::string& folder, SweepDraft& draft, SweepFile& out) {
  const bool trained_on = IsTrainedOn(draft.spec, entry.name);
  const std::string key = absl::StrCat("datasets.", entry.name, ".path");
  const std::string path = (std::filesystem::path(folder) / entry.path).lexically_normal().string();
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    const std::string how = !entry.prepare.empty()
                                ? entry.prepare
                                : absl::StrCat("retort data prepare … --out ", path,
                                               "  (or: retort data synth --out ", path, ")");
    return reader.Fail(
        key, absl::StrCat("'", entry.path, "'; there is no file ", path, "; make it with:  ", how));
  }
  absl::StatusOr<std::string> bytes = ReadFile(path);
  if (!bytes.ok()) return reader.Fail(key, MessageOf(bytes.status()));
  v1::NamedDataset& named = *out.spec.add_datasets();
  named.set_name(entry.name);
  v1::DatasetInfo& info = *named.mutable_info();
  info.set_sha256(ArtifactHash(Sha256Of(*bytes)).hex());
  info.set_size_bytes(static_cast<int64_t>(bytes->size()));
  const auto dataset = ParseDataset(*std::move(bytes), path);
  if (!dataset.ok()) return reader.Fail(key, dataset.error());
  const auto split = dataset->metadata.find("split");
  if (trained_on && split != dataset->metadata.end() && split->second == "never") {
    return reader.Fail(
        key, absl::StrCat("'", entry.path,
                          "' must never be split (its metadata says so: who is "
                          "who in it is not known); name it under evaluate, and others under "
                          "train_on"));
  }
  info.set_windows(dataset->windows_count);
  info.set_channels(dataset->channels_count);
  info.set_samples(dataset->samples);
  info.mutable_subjects()->Assign(dataset->subjects.begin(), dataset->subjects.end());
  const auto rate = dataset->metadata.find("rate_hz");
  if (rate != dataset->metadata.end()) draft.rates_hz[entry.name] = rate->second;
  out.file_paths[info.sha256()] = path;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SweepFile> ParseSweepFile(const std::string& text, const std::string& file,
                                         const std::string& folder) {
  RETORT_ASSIGN_OR_RETURN(const YamlNode root, ParseYaml(text, file));
  const SweepReader reader(file, root);
  if (!root.is_mapping()) {
    return reader.Expected(root, "", "a mapping with name, datasets, split and so on");
  }
  RETORT_RETURN_IF_ERROR(reader.CheckKeys(root, "", TopKeys()));
  SweepDraft draft;
  RETORT_RETURN_IF_ERROR(ReadHead(reader, root, draft.spec));
  RETORT_ASSIGN_OR_RETURN(const auto entries, ReadDatasetEntries(reader, *root.Find("datasets")));
  for (const DatasetEntry& entry : entries) draft.spec.add_datasets()->set_name(entry.name);
  RETORT_RETURN_IF_ERROR(ReadAxes(reader, root, draft));
  RETORT_RETURN_IF_ERROR(ReadLimits(reader, root, draft.spec));
  RETORT_RETURN_IF_ERROR(CheckReferences(reader, draft));

  SweepFile out;
  for (const DatasetEntry& entry : entries) {
    RETORT_RETURN_IF_ERROR(ReadOneDataset(reader, entry, folder, draft, out));
  }
  draft.spec.mutable_datasets()->Swap(out.spec.mutable_datasets());
  RETORT_RETURN_IF_ERROR(LoadGivenTeachers(reader, folder, draft, out.file_paths));
  RETORT_RETURN_IF_ERROR(CheckAgainstDatasets(reader, draft));
  out.spec = std::move(draft.spec);
  return out;
}

absl::StatusOr<SweepFile> ReadSweepFile(const std::string& path) {
  std::error_code error;
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a file; expected a sweep file"));
  }
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return absl::InvalidArgumentError(text.status().message());
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return ParseSweepFile(*text, path, folder);
}

}  // namespace retort
