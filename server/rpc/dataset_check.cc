#include "server/rpc/dataset_check.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/spec/given_teacher.h"
#include "common/status.h"

namespace retort {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;
using google::protobuf::util::JsonStringToMessage;

constexpr size_t kLengthBytes = 8;              // of the number before the header
constexpr uint64_t kMostHeaderBytes = 4 << 20;  // of a dataset, which has six tensors
constexpr char kFormat[] = "retort.dataset.v1";

// What a dataset's header says (common/spec/dataset.h).
struct Header {
  std::vector<int64_t> shape;  // windows, channels, samples
  std::vector<std::string> subjects;
  bool never_split = false;
};

absl::StatusOr<std::string> ReadExactly(ArtifactReader& reader, size_t bytes) {
  std::string all;
  while (all.size() < bytes) {
    RETORT_ASSIGN_OR_RETURN(const std::string piece, reader.Read(bytes - all.size()));
    if (piece.empty()) return absl::OutOfRangeError("it is too short");
    all += piece;
  }
  return all;
}

absl::StatusOr<Struct> ReadHeader(ArtifactReader& reader) {
  RETORT_ASSIGN_OR_RETURN(const std::string length, ReadExactly(reader, kLengthBytes));
  uint64_t bytes = 0;
  for (size_t i = kLengthBytes; i-- > 0;) bytes = bytes << 8 | static_cast<uint8_t>(length[i]);
  if (bytes > kMostHeaderBytes ||
      static_cast<int64_t>(bytes + kLengthBytes) > reader.size_bytes()) {
    return absl::OutOfRangeError("its header is longer than the file, or than 4 MiB");
  }
  RETORT_ASSIGN_OR_RETURN(const std::string json, ReadExactly(reader, bytes));
  Struct header;
  if (!JsonStringToMessage(json, &header).ok())
    return absl::OutOfRangeError("its header is not JSON");
  return header;
}

const Value* Find(const Struct& object, const std::string& key) {
  const auto it = object.fields().find(key);
  return it == object.fields().end() ? nullptr : &it->second;
}

absl::StatusOr<Header> Understand(const Struct& object) {
  Header header;
  const Value* metadata = Find(object, "__metadata__");
  const Value* format = metadata == nullptr ? nullptr : Find(metadata->struct_value(), "format");
  if (format == nullptr || format->string_value() != kFormat) {
    return absl::OutOfRangeError(absl::StrCat("its format is not ", kFormat));
  }
  const Value* subjects = Find(metadata->struct_value(), "subjects");
  google::protobuf::ListValue names;
  if (subjects == nullptr || !JsonStringToMessage(subjects->string_value(), &names).ok()) {
    return absl::OutOfRangeError("its header lists no subjects");
  }
  for (const Value& name : names.values()) header.subjects.push_back(name.string_value());
  const Value* split = Find(metadata->struct_value(), "split");
  header.never_split = split != nullptr && split->string_value() == "never";
  const Value* windows = Find(object, "windows");
  const Value* shape = windows == nullptr ? nullptr : Find(windows->struct_value(), "shape");
  if (shape == nullptr || shape->list_value().values_size() != 3) {
    return absl::OutOfRangeError("its tensor 'windows' does not have three dimensions");
  }
  for (const Value& extent : shape->list_value().values()) {
    header.shape.push_back(static_cast<int64_t>(extent.number_value()));
  }
  return header;
}

absl::Status CheckEqual(const std::string& field, int64_t said, int64_t right) {
  if (said == right) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": ", said, "; must be ", right, ", as in the uploaded file"));
}

absl::Status CheckDataset(const ArtifactStore& artifacts, const ArtifactHash& hash,
                          const v1::DatasetInfo& info, bool trained_on, const std::string& field) {
  RETORT_ASSIGN_OR_RETURN(const auto reader, artifacts.Read(hash, 0));
  RETORT_RETURN_IF_ERROR(
      CheckEqual(field + ".size_bytes", info.size_bytes(), reader->size_bytes()));
  auto object = ReadHeader(*reader);
  auto header = object.ok() ? Understand(*object) : absl::StatusOr<Header>(object.status());
  if (absl::IsOutOfRange(header.status())) {
    return absl::InvalidArgumentError(absl::StrCat(field, ".sha256: ", hash.hex(),
                                                   "; must be of a dataset, but ",
                                                   MessageOf(header.status())));
  }
  if (!header.ok()) return header.status();
  RETORT_RETURN_IF_ERROR(CheckEqual(field + ".windows", info.windows(), header->shape[0]));
  RETORT_RETURN_IF_ERROR(CheckEqual(field + ".channels", info.channels(), header->shape[1]));
  RETORT_RETURN_IF_ERROR(CheckEqual(field + ".samples", info.samples(), header->shape[2]));
  if (!std::equal(info.subjects().begin(), info.subjects().end(), header->subjects.begin(),
                  header->subjects.end())) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, ".subjects: ", absl::StrJoin(info.subjects(), ", ").substr(0, 200), "; must be ",
        absl::StrJoin(header->subjects, ", ").substr(0, 200), ", as in the uploaded file"));
  }
  if (trained_on && header->never_split) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".sha256: ", hash.hex(),
                     "; must not be trained on, since its metadata says that it must never be "
                     "split (who is who in it is not known); name others in spec.train_on"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckDatasets(const ArtifactStore& artifacts, const v1::SweepSpec& spec) {
  for (int i = 0; i < spec.datasets_size(); ++i) {
    const v1::NamedDataset& dataset = spec.datasets(i);
    RETORT_ASSIGN_OR_RETURN(const ArtifactHash hash,
                            ArtifactHash::FromHex(dataset.info().sha256()));
    if (!artifacts.Has(hash)) {
      return absl::FailedPreconditionError(absl::StrCat("spec.datasets: dataset '", dataset.name(),
                                                        "' (", hash.hex(), ") was not uploaded"));
    }
    const bool trained_on =
        spec.train_on().empty() || absl::c_linear_search(spec.train_on(), dataset.name());
    RETORT_RETURN_IF_ERROR(CheckDataset(artifacts, hash, dataset.info(), trained_on,
                                        absl::StrCat("spec.datasets[", i, "].info")));
  }
  for (int i = 0; i < spec.teachers_size(); ++i) {
    const v1::NamedTeacher& teacher = spec.teachers(i);
    if (!teacher.has_given()) continue;
    RETORT_ASSIGN_OR_RETURN(const ArtifactHash hash,
                            ArtifactHash::FromHex(HashOf(teacher.given())));
    if (!artifacts.Has(hash)) {
      return absl::FailedPreconditionError(absl::StrCat("spec.teachers: the file of teacher '",
                                                        teacher.name(), "' (", hash.hex(),
                                                        ") was not uploaded"));
    }
    RETORT_RETURN_IF_ERROR(CheckEqual(absl::StrCat("spec.teachers[", i, "].given_size_bytes"),
                                      teacher.given_size_bytes(),
                                      artifacts.SizeOf(hash).value_or(0)));
  }
  return absl::OkStatus();
}

}  // namespace retort
