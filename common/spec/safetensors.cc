#include "common/spec/safetensors.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

namespace retort {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;
using google::protobuf::Value;

constexpr uint64_t kMaxHeaderBytes = 16 << 20;
constexpr size_t kMaxRank = 16;
constexpr double kMaxExact = 9007199254740992.0;  // 2^53: JSON numbers are doubles here

struct DTypeFacts {
  DType dtype;
  std::string_view name;
  int64_t bytes;
};
constexpr std::array<DTypeFacts, 10> kDTypes = {{{DType::kF16, "F16", 2},
                                                 {DType::kBF16, "BF16", 2},
                                                 {DType::kF32, "F32", 4},
                                                 {DType::kF64, "F64", 8},
                                                 {DType::kI8, "I8", 1},
                                                 {DType::kI16, "I16", 2},
                                                 {DType::kI32, "I32", 4},
                                                 {DType::kI64, "I64", 8},
                                                 {DType::kU8, "U8", 1},
                                                 {DType::kBool, "BOOL", 1}}};

const DTypeFacts& Facts(DType dtype) {
  return *std::find_if(kDTypes.begin(), kDTypes.end(),
                       [&](const DTypeFacts& facts) { return facts.dtype == dtype; });
}

// A whole number that JSON's doubles hold exactly, or an error.
Expected<int64_t> WholeNumber(const Value& value, const std::string& where) {
  const double number = value.number_value();
  if (value.kind_case() != Value::kNumberValue || number < 0 || number > kMaxExact ||
      number != std::floor(number)) {
    return Error{where + ": expected a whole number from 0 to 2^53"};
  }
  return static_cast<int64_t>(number);
}

Expected<std::vector<int64_t>> WholeNumbers(const Struct& entry, const std::string& key,
                                            const std::string& where) {
  const auto it = entry.fields().find(key);
  if (it == entry.fields().end() || it->second.kind_case() != Value::kListValue) {
    return Error{where + ": '" + key + "' is missing or not a list"};
  }
  std::vector<int64_t> out;
  for (const Value& value : it->second.list_value().values()) {
    auto number = WholeNumber(value, where + "." + key);
    if (!number.ok()) return Error{number.error()};
    out.push_back(*number);
  }
  return out;
}

// Elements of a shape, or -1 if they do not fit 2^53.
int64_t Product(const std::vector<int64_t>& shape) {
  double product = 1;
  int64_t exact = 1;
  for (int64_t extent : shape) {
    product *= static_cast<double>(extent);
    if (product > kMaxExact) return -1;
    exact *= extent;
  }
  return exact;
}

// One entry of the header, with its range checked against the `payload`.
Expected<TensorView> ParseEntry(const Value& value, std::string_view payload,
                                const std::string& where) {
  if (value.kind_case() != Value::kStructValue) return Error{where + ": expected an object"};
  const Struct& entry = value.struct_value();
  const auto dtype_field = entry.fields().find("dtype");
  const std::string dtype_name =
      dtype_field == entry.fields().end() ? "" : dtype_field->second.string_value();
  const auto facts = std::find_if(kDTypes.begin(), kDTypes.end(), [&](const DTypeFacts& candidate) {
    return candidate.name == dtype_name;
  });
  if (facts == kDTypes.end()) {
    return Error{where + ": dtype '" + dtype_name +
                 "' is not known; expected F32, I32 or the like"};
  }
  auto shape = WholeNumbers(entry, "shape", where);
  if (!shape.ok()) return Error{shape.error()};
  auto range = WholeNumbers(entry, "data_offsets", where);
  if (!range.ok()) return Error{range.error()};
  if (shape->size() > kMaxRank) return Error{where + ": more than 16 dimensions"};
  if (range->size() != 2 || (*range)[0] > (*range)[1] ||
      (*range)[1] > static_cast<int64_t>(payload.size())) {
    return Error{where + ": data_offsets do not lie within the file's " +
                 std::to_string(payload.size()) +
                 " bytes of data; the file is cut short or damaged"};
  }
  const int64_t bytes = (*range)[1] - (*range)[0];
  const int64_t elements = Product(*shape);
  if (elements < 0 || bytes % facts->bytes != 0 || elements != bytes / facts->bytes) {
    return Error{where + ": its shape does not fit its " + std::to_string(bytes) + " bytes"};
  }
  return TensorView{facts->dtype, std::move(*shape), payload.substr((*range)[0], bytes)};
}

void AppendJsonString(std::string& out, const std::string& text) {
  out += '"';
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20) {
      constexpr char kHex[] = "0123456789abcdef";
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
    } else {
      out += static_cast<char>(c);
    }
  }
  out += '"';
}

}  // namespace

int64_t BytesOf(DType dtype) { return Facts(dtype).bytes; }
std::string_view NameOf(DType dtype) { return Facts(dtype).name; }
int64_t TensorView::elements() const { return static_cast<int64_t>(data.size()) / BytesOf(dtype); }

Expected<Safetensors> Safetensors::Parse(std::string bytes, const std::string& what) {
  const auto damaged = [&](const std::string& why) {
    return Error{what + ": not a safetensors file: " + why};
  };
  if (bytes.size() < 8) return damaged("it has " + std::to_string(bytes.size()) + " bytes");
  uint64_t header_bytes = 0;
  for (int i = 7; i >= 0; --i) {
    header_bytes = header_bytes << 8 | static_cast<unsigned char>(bytes[i]);
  }
  if (header_bytes > kMaxHeaderBytes || header_bytes > bytes.size() - 8) {
    return damaged("its header claims " + std::to_string(header_bytes) + " bytes, the file has " +
                   std::to_string(bytes.size()));
  }
  Struct header;
  const auto parsed = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(bytes.data() + 8, header_bytes), &header);
  if (!parsed.ok()) return damaged("its header is not JSON: " + parsed.ToString().substr(0, 200));

  Safetensors file;
  file.what_ = what;
  file.bytes_.assign(bytes.begin(), bytes.end());
  const std::string_view payload(file.bytes_.data() + 8 + header_bytes,
                                 file.bytes_.size() - 8 - header_bytes);
  for (const auto& [name, value] : header.fields()) {
    if (name == "__metadata__") {
      for (const auto& [key, text] : value.struct_value().fields()) {
        if (text.kind_case() != Value::kStringValue) {
          return damaged("__metadata__." + key + " is not a string");
        }
        file.metadata_[key] = text.string_value();
      }
      continue;
    }
    auto tensor = ParseEntry(value, payload, what + ": tensor '" + name + "'");
    if (!tensor.ok()) return Error{tensor.error()};
    file.tensors_.emplace(name, std::move(*tensor));
  }
  std::vector<std::pair<const char*, const char*>> ranges;
  for (const auto& [name, tensor] : file.tensors_) {
    ranges.emplace_back(tensor.data.data(), tensor.data.data() + tensor.data.size());
  }
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].first < ranges[i - 1].second) return damaged("tensors overlap");
  }
  return file;
}

Expected<std::string> ReadWholeFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error{path + ": cannot be opened: " + std::strerror(errno)};
  std::string bytes;
  try {  // opening a folder succeeds, and reading it then throws
    bytes.assign(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  } catch (const std::exception&) {
    return Error{path + ": cannot be read; is it a file?"};
  }
  if (in.bad()) return Error{path + ": cannot be read: " + std::strerror(errno)};
  return bytes;
}

Expected<Safetensors> Safetensors::ReadFile(const std::string& path) {
  auto bytes = ReadWholeFile(path);
  if (!bytes.ok()) return Error{bytes.error()};
  return Parse(std::move(*bytes), path);
}

Expected<TensorView> Safetensors::Find(const std::string& name) const {
  const auto it = tensors_.find(name);
  if (it != tensors_.end()) return it->second;
  std::string known;
  for (const auto& [other, tensor] : tensors_) known += (known.empty() ? "" : ", ") + other;
  return Error{what_ + ": has no tensor '" + name + "'; it has: " + known};
}

Expected<std::string> Safetensors::Metadata(const std::string& key) const {
  const auto it = metadata_.find(key);
  if (it == metadata_.end()) return Error{what_ + ": its header has no metadata '" + key + "'"};
  return it->second;
}

std::string SerializeSafetensors(const std::map<std::string, std::string>& metadata,
                                 const std::vector<TensorToWrite>& tensors) {
  std::string header = "{\"__metadata__\":{";
  bool first = true;
  for (const auto& [key, value] : metadata) {
    if (!std::exchange(first, false)) header += ',';
    AppendJsonString(header, key);
    header += ':';
    AppendJsonString(header, value);
  }
  header += '}';
  uint64_t offset = 0;
  for (const TensorToWrite& tensor : tensors) {
    header += ',';
    AppendJsonString(header, tensor.name);
    header += ":{\"dtype\":\"" + std::string(NameOf(tensor.dtype)) + "\",\"shape\":[";
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      header += (i == 0 ? "" : ",") + std::to_string(tensor.shape[i]);
    }
    header += "],\"data_offsets\":[" + std::to_string(offset) + "," +
              std::to_string(offset + tensor.data.size()) + "]}";
    offset += tensor.data.size();
  }
  header += '}';
  header.resize((header.size() + 7) / 8 * 8, ' ');  // data begins at a multiple of 8

  std::string out;
  out.reserve(8 + header.size() + offset);
  for (int i = 0; i < 8; ++i) out += static_cast<char>(uint64_t{header.size()} >> (8 * i));
  out += header;
  for (const TensorToWrite& tensor : tensors) out += tensor.data;
  return out;
}

}  // namespace retort
