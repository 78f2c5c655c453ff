#include "client/sdk/sweep_parts.h"

#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/sdk/given_teachers.h"
#include "common/spec/labels.h"

namespace retort {
namespace {

absl::string_view Absl(std::string_view text) { return {text.data(), text.size()}; }

// A network of the file, from one entry of `teachers` or `students`.
struct ReadModel {
  v1::ModelSpec model;
  std::string path;
};

// Families and methods are the alternatives of a oneof, under their fields' names.
const std::vector<std::string>& Families() {
  static const auto& names = *new std::vector<std::string>(FieldNames(v1::ModelSpec()));
  return names;
}
const std::vector<std::string>& MethodNames() {
  static const auto& names = *new std::vector<std::string>(FieldNames(v1::MethodSpec()));
  return names;
}

// `32/8`.
absl::StatusOr<v1::ResNet1dSpec> ReadShorthand(const SweepReader& reader, const YamlNode& node,
                                               const std::string& path) {
  const std::vector<std::string> parts = absl::StrSplit(node.text, '/');
  v1::ResNet1dSpec net;
  const bool good = parts.size() == 2 && SetField(net, "base", parts[0]).ok() &&
                    SetField(net, "blocks", parts[1]).ok();
  if (!good) return reader.Expected(node, path, "BASE/BLOCKS such as 32/8, or a mapping");
  if (const absl::Status rules = CheckRules(net, ""); !rules.ok()) {
    return reader.Fail(path, MessageOf(rules));
  }
  return net;
}

// Every value that a network is useless without.
template <typename Net>
absl::Status CheckRequired(const SweepReader& reader, const YamlNode& node, const std::string& path,
                           const Net& net, std::initializer_list<const char*> required) {
  for (const char* name : required) {
    const auto* field = net.GetDescriptor()->FindFieldByName(name);
    if (!net.GetReflection()->HasField(net, field)) {
      return reader.Fail(
          path, absl::StrCat(node.Described(), " without '", name, "'; ", name, " is required"));
    }
  }
  return absl::OkStatus();
}

// The networks of one family from a shorthand, a mapping with axes, or a list of these.
absl::Status ReadFamily(const SweepReader& reader, const YamlNode& node, const std::string& path,
                        const std::string& family, std::vector<ReadModel>& out) {
  if (node.is_list()) {
    RETORT_RETURN_IF_ERROR(reader.CheckList(node, path, "networks"));
    for (size_t i = 0; i < node.items.size(); ++i) {
      const std::string here = SweepReader::At(path, i);
      if (node.items[i].is_list()) {
        return reader.Expected(node.items[i], here, "a network");
      }
      RETORT_RETURN_IF_ERROR(ReadFamily(reader, node.items[i], here, family, out));
    }
    return absl::OkStatus();
  }
  if (family == "mlp") {
    if (!node.is_mapping()) {
      return reader.Expected(node, path, "a mapping such as {width: 32, depth: 2}");
    }
    RETORT_ASSIGN_OR_RETURN(const auto nets, reader.Combinations(node, path, v1::MlpSpec()));
    for (const v1::MlpSpec& net : nets) {
      RETORT_RETURN_IF_ERROR(CheckRequired(reader, node, path, net, {"width", "depth"}));
      ReadModel& read = out.emplace_back(ReadModel{{}, path});
      *read.model.mutable_mlp() = net;
    }
    return absl::OkStatus();
  }
  std::vector<v1::ResNet1dSpec> nets;
  if (node.is_mapping()) {
    RETORT_ASSIGN_OR_RETURN(nets, reader.Combinations(node, path, v1::ResNet1dSpec()));
  } else {
    RETORT_ASSIGN_OR_RETURN(v1::ResNet1dSpec net, ReadShorthand(reader, node, path));
    nets.push_back(std::move(net));
  }
  for (const v1::ResNet1dSpec& net : nets) {
    RETORT_RETURN_IF_ERROR(CheckRequired(reader, node, path, net, {"base", "blocks"}));
    if (net.has_kernel() && net.kernel() % 2 == 0) {
      return reader.Fail(path + ".kernel", absl::StrCat(net.kernel(), "; must be odd"));
    }
    ReadModel& read = out.emplace_back(ReadModel{{}, path});
    *read.model.mutable_resnet1d() = net;
  }
  return absl::OkStatus();
}

// The networks of one entry: a mapping with one family, and with a name where that is allowed.
absl::Status ReadEntry(const SweepReader& reader, const YamlNode& node, const std::string& path,
                       bool named, std::vector<ReadModel>& out) {
  if (!node.is_mapping()) {
    return reader.Expected(node, path, "a mapping such as {resnet1d: 32/8}");
  }
  std::vector<std::string> known = Families();
  if (named) known.insert(known.end(), GivenKeys().begin(), GivenKeys().end());
  const YamlNode* family = nullptr;
  for (const YamlNode& item : node.items) {
    if (named && item.key == "name") continue;
    const std::string here = path + "." + item.key;
    if (!SweepReader::IsOneOf(item.key, Families())) {
      return reader.FailAtKey(item, here, "unknown model family" + Suggestion(item.key, known));
    }
    if (family != nullptr) {
      return reader.FailAtKey(item, here, "a second family; write it as an entry of its own");
    }
    family = &item;
  }
  if (family == nullptr) {
    return reader.Fail(path, "no network; expected one such as {resnet1d: 32/8}");
  }
  return ReadFamily(reader, *family, path + "." + family->key, family->key, out);
}

// DkdMethod's fields as `preset` gives them.
absl::StatusOr<v1::DkdMethod> DkdPreset(const SweepReader& reader, const YamlNode& node,
                                        const std::string& path) {
  v1::DkdMethod dkd;
  const YamlNode* preset = node.Find("preset");
  if (preset == nullptr) return dkd;
  const std::string here = path + ".preset";
  RETORT_ASSIGN_OR_RETURN(const std::string name, reader.Text(*preset, here));
  if (name != "zhao2022") {
    return reader.Fail(here, absl::StrCat("'", name, "'", Suggestion(name, {"zhao2022"})));
  }
  dkd.set_ce_weight(1);
  dkd.set_lambda(1);
  dkd.set_alpha(1);
  dkd.set_beta(8);
  dkd.set_temperature(4);
  dkd.set_warmup_epochs(20);
  return dkd;
}

// One method with its axes, from `name: {fields}`.
absl::StatusOr<std::vector<v1::MethodSpec>> ReadMethod(const SweepReader& reader,
                                                       const YamlNode& node,
                                                       const std::string& path) {
  if (!node.is_mapping()) {
    return reader.Expected(node, path, "a mapping of the method's fields");
  }
  v1::MethodSpec start;
  const auto& kind = *start.GetDescriptor()->FindFieldByName(node.key);
  const auto& reflection = *start.GetReflection();
  reflection.MutableMessage(&start, &kind);
  std::vector<std::string> others = {"teachers"};
  if (start.has_dkd()) {
    RETORT_ASSIGN_OR_RETURN(*start.mutable_dkd(), DkdPreset(reader, node, path));
    others.push_back("preset");
  }
  RETORT_ASSIGN_OR_RETURN(const SweepReader::Messages all,
                          reader.Combine(node, path, reflection.GetMessage(start, &kind), others));
  std::vector<v1::MethodSpec> out;
  for (const auto& fields : all) {
    reflection.MutableMessage(&out.emplace_back(), &kind)->CopyFrom(*fields);
  }
  return out;
}

absl::Status UnknownMethod(const std::string& name) {
  return absl::InvalidArgumentError("unknown method" + Suggestion(name, MethodNames()));
}

absl::Status ReadMethodEntry(const SweepReader& reader, const YamlNode& node,
                             const std::string& path, SweepDraft& draft) {
  if (node.is_scalar()) {
    if (!SweepReader::IsOneOf(node.text, MethodNames())) {
      return reader.Fail(path,
                         absl::StrCat("'", node.text, "'; ", MessageOf(UnknownMethod(node.text))));
    }
    v1::MethodSpec& method = *draft.spec.add_methods()->mutable_method();
    const auto* field = method.GetDescriptor()->FindFieldByName(node.text);
    method.GetReflection()->MutableMessage(&method, field);
    draft.method_paths.push_back(path);
    return absl::OkStatus();
  }
  if (!node.is_mapping() || node.items.empty()) {
    return reader.Expected(node, path, "a method such as soft or {soft: {temperature: 2}}");
  }
  const YamlNode& kind = node.items[0];
  const std::string here = path + "." + kind.key;
  if (!SweepReader::IsOneOf(kind.key, MethodNames())) {
    return reader.FailAtKey(kind, here, MessageOf(UnknownMethod(kind.key)));
  }
  if (node.items.size() > 1) {
    return reader.FailAtKey(
        node.items[1], path + "." + node.items[1].key,
        absl::StrCat("stands beside '", kind.key, "'; a method's fields stand below its name, and ",
                     "another method is an entry of its own"));
  }
  RETORT_ASSIGN_OR_RETURN(const auto methods, ReadMethod(reader, kind, here));
  std::vector<std::string> teachers;
  if (const YamlNode* names = kind.Find("teachers"); names != nullptr) {
    RETORT_ASSIGN_OR_RETURN(teachers, reader.Texts(*names, here + ".teachers"));
  }
  for (const v1::MethodSpec& method : methods) {
    v1::SweepMethod& added = *draft.spec.add_methods();
    *added.mutable_method() = method;
    added.mutable_teachers()->Assign(teachers.begin(), teachers.end());
    draft.method_paths.push_back(here);
  }
  return absl::OkStatus();
}

absl::Status ReadMatch(const SweepReader& reader, const YamlNode& node, const std::string& path,
                       const std::vector<std::string>& others, v1::JobMatch& match) {
  RETORT_RETURN_IF_ERROR(reader.SetAll(match, node, path, others));
  std::vector<const google::protobuf::FieldDescriptor*> set;
  match.GetReflection()->ListFields(match, &set);
  if (set.empty()) {
    return reader.Fail(path,
                       "names no jobs; expected at least one of: teacher, student, method, "
                       "seed, fold, dataset");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckShortName(std::string_view name) {
  bool good = !name.empty() && name.size() <= 63;
  for (const char c : name)
    good = good && (absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '-');
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("'", Absl(name), "'; a name has 1 to 63 letters, digits, '_', '.' and '-'"));
}

absl::Status ReadTeachers(const SweepReader& reader, const YamlNode& node, SweepDraft& draft) {
  RETORT_RETURN_IF_ERROR(reader.CheckList(node, "teachers", "networks"));
  for (size_t i = 0; i < node.items.size(); ++i) {
    const std::string path = SweepReader::At("teachers", i);
    if (IsGiven(node.items[i])) {
      RETORT_RETURN_IF_ERROR(ReadGivenEntry(reader, node.items[i], path, draft));
      draft.given.back().number = i;
      continue;
    }
    std::vector<ReadModel> models;
    RETORT_RETURN_IF_ERROR(ReadEntry(reader, node.items[i], path, /*named=*/true, models));
    const YamlNode* name = node.items[i].Find("name");
    if (name != nullptr) {
      RETORT_ASSIGN_OR_RETURN(const std::string text, reader.Text(*name, path + ".name"));
      if (const absl::Status good = CheckShortName(text); !good.ok()) {
        return reader.Fail(path + ".name", MessageOf(good));
      }
      if (models.size() > 1) {
        return reader.Fail(path + ".name",
                           absl::StrCat("'", text, "' names ", models.size(),
                                        " networks; a named teacher is one network"));
      }
    }
    for (ReadModel& read : models) {
      v1::NamedTeacher& teacher = *draft.spec.add_teachers();
      teacher.set_name(name != nullptr ? name->text : ModelLabel(read.model, kTeacherDropout));
      *teacher.mutable_model() = std::move(read.model);
      draft.teacher_paths.push_back(read.path);
    }
  }
  return absl::OkStatus();
}

absl::Status ReadStudents(const SweepReader& reader, const YamlNode& node, SweepDraft& draft) {
  RETORT_RETURN_IF_ERROR(reader.CheckList(node, "students", "networks"));
  std::vector<ReadModel> models;
  for (size_t i = 0; i < node.items.size(); ++i) {
    RETORT_RETURN_IF_ERROR(ReadEntry(reader, node.items[i], SweepReader::At("students", i),
                                     /*named=*/false, models));
  }
  for (ReadModel& read : models) {
    *draft.spec.add_students() = std::move(read.model);
    draft.student_paths.push_back(read.path);
  }
  return absl::OkStatus();
}

absl::Status ReadMethods(const SweepReader& reader, const YamlNode& node, SweepDraft& draft) {
  RETORT_RETURN_IF_ERROR(reader.CheckList(node, "methods", "methods"));
  for (size_t i = 0; i < node.items.size(); ++i) {
    RETORT_RETURN_IF_ERROR(
        ReadMethodEntry(reader, node.items[i], SweepReader::At("methods", i), draft));
  }
  return absl::OkStatus();
}

absl::Status ReadTrain(const SweepReader& reader, const YamlNode& node, SweepDraft& draft) {
  v1::TrainSpec& train = *draft.spec.mutable_train();
  RETORT_RETURN_IF_ERROR(reader.CheckKeys(node, "train", FieldNames(train)));
  for (const YamlNode& item : node.items) {
    const std::string path = "train." + item.key;
    if (!item.is_list()) {
      RETORT_RETURN_IF_ERROR(reader.Set(train, item.key, item, path));
      continue;
    }
    RETORT_RETURN_IF_ERROR(reader.CheckList(item, path, "values"));
    v1::TrainAxis& axis = *draft.spec.add_train_axes();
    axis.set_field(item.key);
    for (size_t i = 0; i < item.items.size(); ++i) {
      RETORT_RETURN_IF_ERROR(
          reader.Set(*axis.add_values(), item.key, item.items[i], SweepReader::At(path, i)));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadSplit(const SweepReader& reader, const YamlNode& node, SweepDraft& draft) {
  v1::SplitSpec& split = *draft.spec.mutable_split();
  RETORT_RETURN_IF_ERROR(reader.SetAll(split, node, "split", {"by", "folds"}));
  if (const YamlNode* by = node.Find("by"); by != nullptr && by->text != "subject") {
    return reader.Expected(*by, "split.by", "subject, the only unit of a split");
  }
  if (!split.loso()) split.clear_loso();  // `loso: false` says the same as no such key
  if (split.has_kfold() + split.has_loso() + split.has_holdout() != 1) {
    std::string given;
    for (const char* key : {"kfold", "loso", "holdout"}) {
      if (node.Find(key) != nullptr) absl::StrAppend(&given, given.empty() ? "" : " and ", key);
    }
    return reader.Fail("split", absl::StrCat(given.empty() ? "none" : given,
                                             "; exactly one of kfold, loso and holdout is needed, "
                                             "such as {kfold: 4}"));
  }
  if (const YamlNode* folds = node.Find("folds"); folds != nullptr) {
    RETORT_ASSIGN_OR_RETURN(const auto numbers, reader.Numbers(*folds, "split.folds", 9999));
    for (size_t i = 0; i < numbers.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (numbers[j] != numbers[i]) continue;
        return reader.Fail(SweepReader::At("split.folds", i),
                           absl::StrCat(numbers[i], "; each fold may stand once"));
      }
      draft.spec.add_folds(static_cast<int32_t>(numbers[i]));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadZip(const SweepReader& reader, const YamlNode& node, SweepDraft& draft) {
  RETORT_RETURN_IF_ERROR(
      reader.CheckList(node, "zip", "groups of axes such as [train.peak_lr, seeds]"));
  for (size_t i = 0; i < node.items.size(); ++i) {
    RETORT_ASSIGN_OR_RETURN(const auto axes,
                            reader.Texts(node.items[i], SweepReader::At("zip", i)));
    draft.spec.add_zip()->mutable_axes()->Assign(axes.begin(), axes.end());
  }
  return absl::OkStatus();
}

absl::Status ReadExclude(const SweepReader& reader, const YamlNode& node, SweepDraft& draft) {
  RETORT_RETURN_IF_ERROR(reader.CheckList(node, "exclude", "combinations"));
  for (size_t i = 0; i < node.items.size(); ++i) {
    RETORT_RETURN_IF_ERROR(ReadMatch(reader, node.items[i], SweepReader::At("exclude", i), {},
                                     *draft.spec.add_exclude()));
  }
  return absl::OkStatus();
}

absl::Status ReadOverrides(const SweepReader& reader, const YamlNode& node, SweepDraft& draft) {
  RETORT_RETURN_IF_ERROR(reader.CheckList(node, "overrides", "overrides"));
  for (size_t i = 0; i < node.items.size(); ++i) {
    const YamlNode& item = node.items[i];
    const std::string path = SweepReader::At("overrides", i);
    v1::Override& added = *draft.spec.add_overrides();
    RETORT_RETURN_IF_ERROR(
        ReadMatch(reader, item, path, {"train", "memory_gib"}, *added.mutable_match()));
    const YamlNode* train = item.Find("train");
    const YamlNode* memory = item.Find("memory_gib");
    const bool trains = train != nullptr && !(train->is_mapping() && train->items.empty());
    if (!trains && memory == nullptr) {
      return reader.Fail(path, "changes nothing; expected train: {FIELD: value} or memory_gib: N");
    }
    if (trains) {
      RETORT_RETURN_IF_ERROR(reader.SetAll(*added.mutable_train(), *train, path + ".train"));
    }
    if (memory != nullptr) {
      RETORT_RETURN_IF_ERROR(reader.Set(added, "memory_gib", *memory, path + ".memory_gib"));
    }
  }
  return absl::OkStatus();
}

}  // namespace retort
