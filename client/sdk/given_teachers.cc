#include "client/sdk/given_teachers.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/ids.h"
#include "common/spec/dataset.h"
#include "common/spec/given_teacher.h"
#include "common/spec/labels.h"
#include "common/spec/outputs_file.h"
#include "common/spec/safetensors.h"
#include "common/spec/weights_file.h"
#include "common/status.h"

namespace retort {
namespace {

bool IsTrainedOn(const v1::SweepSpec& spec, const v1::NamedDataset& dataset) {
  const auto& names = spec.train_on();
  return names.empty() || std::find(names.begin(), names.end(), dataset.name()) != names.end();
}

// The weights as a safetensors file that fits every dataset that is trained on.
Expected<bool> LoadWeights(const Safetensors& file, const SweepDraft& draft,
                           v1::NamedTeacher& teacher) {
  const auto header = CheckWeights(file);
  if (!header.ok()) return Error{header.error()};
  for (const v1::NamedDataset& dataset : draft.spec.datasets()) {
    if (!IsTrainedOn(draft.spec, dataset)) continue;
    Dataset facts;
    facts.samples = dataset.info().samples();
    const auto rate = draft.rates_hz.find(dataset.name());
    if (rate != draft.rates_hz.end()) facts.metadata["rate_hz"] = rate->second;
    const auto fits = CheckFits(*header, file.what(), facts, "dataset '" + dataset.name() + "'");
    if (!fits.ok()) return fits;
  }
  *teacher.mutable_model() = header->model;
  return true;
}

// Outputs for one of the datasets that are trained on.
Expected<bool> LoadOutputs(const Safetensors& file, const SweepDraft& draft,
                           v1::NamedTeacher& teacher) {
  const auto header = CheckOutputs(file);
  if (!header.ok()) return Error{header.error()};
  teacher.set_outputs_dataset_sha256(header->dataset_sha256);
  teacher.set_outputs_features(static_cast<int32_t>(header->features));
  std::string known;
  for (const v1::NamedDataset& dataset : draft.spec.datasets()) {
    if (!IsTrainedOn(draft.spec, dataset)) continue;
    const v1::DatasetInfo& info = dataset.info();
    if (info.sha256() == header->dataset_sha256) {
      return CheckOutputsFit(*header, file.what(), info.sha256(), info.windows(), info.channels());
    }
    known += "; dataset '" + dataset.name() + "' has SHA-256 " + info.sha256();
  }
  return Error{file.what() + ": its metadata 'dataset' is " + header->dataset_sha256.substr(0, 64) +
               known + ". It must be the hash of one of them"};
}

absl::Status LoadOne(const SweepReader& reader, const std::string& folder, const GivenEntry& entry,
                     SweepDraft& draft, std::map<std::string, std::string>& paths) {
  v1::NamedTeacher& teacher = *draft.spec.mutable_teachers(entry.index);
  const std::string path = (std::filesystem::path(folder) / entry.file).lexically_normal().string();
  const absl::StatusOr<std::string> bytes = ReadFile(path);
  if (!bytes.ok()) {
    return reader.Fail(entry.path, absl::StrCat("'", entry.file, "'; ", MessageOf(bytes.status())));
  }
  const std::string hash = ArtifactHash(Sha256Of(*bytes)).hex();
  teacher.set_given_size_bytes(static_cast<int64_t>(bytes->size()));
  if (entry.kind == "torchscript") {
    // Only a worker can look into it; archives of modules are zip files.
    if (!absl::StartsWith(*bytes, "PK\x03\x04")) {
      return reader.Fail(entry.path, absl::StrCat(path, ": no TorchScript module; must be a file ",
                                                  "that torch.jit.save wrote"));
    }
    teacher.mutable_given()->set_torchscript_sha256(hash);
  } else {
    const auto file = Safetensors::Parse(*bytes, path);
    if (!file.ok()) return reader.Fail(entry.path, file.error());
    const bool weights = entry.kind == "weights";
    const auto loaded =
        weights ? LoadWeights(*file, draft, teacher) : LoadOutputs(*file, draft, teacher);
    if (!loaded.ok()) return reader.Fail(entry.path, loaded.error());
    if (weights) {
      teacher.mutable_given()->set_weights_sha256(hash);
    } else {
      teacher.mutable_given()->set_outputs_sha256(hash);
    }
  }
  const auto seen = SubjectsSeen(draft.spec, teacher);
  if (!seen.ok()) {
    return reader.Fail(SweepReader::At("teachers", entry.number) + ".trained_on", seen.error());
  }
  paths[hash] = path;
  return absl::OkStatus();
}

}  // namespace

const std::vector<std::string>& GivenKeys() {
  static const auto& keys = *new std::vector<std::string>{"weights", "outputs", "torchscript"};
  return keys;
}

bool IsGiven(const YamlNode& entry) {
  if (!entry.is_mapping()) return false;
  for (const YamlNode& item : entry.items) {
    if (SweepReader::IsOneOf(item.key, GivenKeys())) return true;
  }
  return false;
}

absl::Status ReadGivenEntry(const SweepReader& reader, const YamlNode& node,
                            const std::string& path, SweepDraft& draft) {
  std::vector<std::string> keys = {"name", "trained_on"};
  keys.insert(keys.end(), GivenKeys().begin(), GivenKeys().end());
  RETORT_RETURN_IF_ERROR(reader.CheckKeys(node, path, keys));
  const YamlNode* name = node.Find("name");
  if (name == nullptr) {
    return reader.Fail(path, "no name; a given teacher needs one, such as {name: papagei, ...}");
  }
  GivenEntry entry;
  v1::NamedTeacher teacher;
  RETORT_ASSIGN_OR_RETURN(*teacher.mutable_name(), reader.Text(*name, path + ".name"));
  if (const absl::Status good = CheckShortName(teacher.name()); !good.ok()) {
    return reader.Fail(path + ".name", MessageOf(good));
  }
  for (const std::string& kind : GivenKeys()) {
    const YamlNode* file = node.Find(kind);
    if (file == nullptr) continue;
    if (!entry.kind.empty()) {
      return reader.FailAtKey(
          *file, path + "." + kind,
          absl::StrCat("stands beside '", entry.kind, "'; a teacher is given by one file"));
    }
    entry.kind = kind;
    entry.path = path + "." + kind;
    RETORT_ASSIGN_OR_RETURN(entry.file, reader.Text(*file, entry.path));
  }
  if (const YamlNode* seen = node.Find("trained_on"); seen != nullptr) {
    RETORT_ASSIGN_OR_RETURN(const auto texts, reader.Texts(*seen, path + ".trained_on"));
    teacher.mutable_trained_on()->Assign(texts.begin(), texts.end());
  }
  // Its hash is filled in once its file is read.
  entry.index = draft.spec.teachers_size();
  teacher.mutable_given();
  *draft.spec.add_teachers() = std::move(teacher);
  draft.teacher_paths.push_back(path);
  draft.given.push_back(std::move(entry));
  return absl::OkStatus();
}

absl::Status LoadGivenTeachers(const SweepReader& reader, const std::string& folder,
                               SweepDraft& draft, std::map<std::string, std::string>& paths) {
  for (const GivenEntry& entry : draft.given) {
    RETORT_RETURN_IF_ERROR(LoadOne(reader, folder, entry, draft, paths));
  }
  // The coordinator says so too; here the line can be named. Exclusions may leave such jobs out.
  for (const v1::NamedTeacher& teacher : draft.spec.teachers()) {
    for (int m = 0; m < draft.spec.methods_size(); ++m) {
      const v1::SweepMethod& method = draft.spec.methods(m);
      const auto& names = method.teachers();
      const bool learns =
          names.empty() || std::find(names.begin(), names.end(), teacher.name()) != names.end();
      if (!learns || !FeaturesOf(method.method()) || draft.spec.exclude_size() > 0 ||
          !teacher.given().has_outputs_sha256() || teacher.outputs_features() > 0) {
        continue;
      }
      return reader.Fail(
          draft.method_paths[m],
          absl::StrCat("learns from a teacher's features, and the outputs of '", teacher.name(),
                       "' have no tensor 'features'; add it to them, ", "or name other teachers"));
    }
  }
  return absl::OkStatus();
}

}  // namespace retort
