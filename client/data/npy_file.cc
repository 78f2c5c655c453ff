#include "client/data/npy_file.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <regex>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/files.h"
#include "common/status.h"

namespace retort {
namespace {

static_assert(std::endian::native == std::endian::little);

// Layout: NEP 1 of NumPy, numpy.lib.format.
constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxHeaderBytes = 1 << 16;
constexpr int64_t kMaxElements = int64_t{1} << 31;

absl::Status Wrong(const std::string& path, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", why));
}

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<int64_t> shape;
  size_t data_at = 0;
};

// The dictionary that NumPy writes, and no other Python: keys in any order, each once.
std::optional<Header> ParseDictionary(const std::string& text) {
  static const std::regex descr(R"('descr'\s*:\s*'([<>|=]?[A-Za-z]\d*)')");
  static const std::regex order(R"('fortran_order'\s*:\s*(True|False))");
  static const std::regex shape(R"('shape'\s*:\s*\(([0-9, ]*)\))");
  static const std::regex whole(R"(\s*\{\s*'(descr|fortran_order|shape)'\s*:[^{}]*\}\s*)");
  std::smatch d, o, s;
  if (!std::regex_match(text, whole) || !std::regex_search(text, d, descr) ||
      !std::regex_search(text, o, order) || !std::regex_search(text, s, shape)) {
    return std::nullopt;
  }
  Header header{d[1].str(), o[1].str() == "True", {}, 0};
  const std::string extents = s[1].str();
  for (size_t begin = 0; begin < extents.size();) {
    const size_t end = std::min(extents.find(',', begin), extents.size());
    const std::string extent = extents.substr(begin, end - begin);
    begin = end + 1;
    if (extent.find_first_not_of(' ') == std::string::npos) continue;
    int64_t value;
    if (!absl::SimpleAtoi(extent, &value)) return std::nullopt;
    header.shape.push_back(value);
  }
  return header;
}

absl::StatusOr<Header> ReadHeader(std::string_view bytes, const std::string& path) {
  if (bytes.substr(0, kMagic.size()) != kMagic) {
    if (bytes.substr(0, 2) == "PK") return Wrong(path, "a .npz archive; must be a .npy file");
    return Wrong(path, "not a .npy file (numpy.save writes one)");
  }
  if (bytes.size() < 12) return Wrong(path, "cut short within its header");
  const int version = static_cast<unsigned char>(bytes[6]);
  if (version < 1 || version > 3) {
    return Wrong(path, absl::StrCat(".npy format version ", version, "; must be 1, 2 or 3"));
  }
  uint32_t size = 0;
  const size_t size_bytes = version == 1 ? 2 : 4, at = 8 + size_bytes;
  std::memcpy(&size, bytes.data() + 8, size_bytes);
  if (size > kMaxHeaderBytes || bytes.size() - at < size) {
    return Wrong(path, "cut short within its header");
  }
  auto header = ParseDictionary(std::string(bytes.substr(at, size)));
  if (!header) {
    return Wrong(path,
                 "its header is not of an array of numbers or texts (structured and object arrays "
                 "are not read)");
  }
  header->data_at = at + size;
  return *std::move(header);
}

template <typename T>
std::vector<double> Widen(std::string_view data) {
  std::vector<double> out(data.size() / sizeof(T));
  for (size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, data.data() + i * sizeof(T), sizeof(T));
    out[i] = static_cast<double>(value);
  }
  return out;
}

struct NumberType {
  std::string_view name;
  size_t bytes;
  std::vector<double> (*widen)(std::string_view);
};

constexpr NumberType kTypes[] = {
    {"f4", 4, Widen<float>},    {"f8", 8, Widen<double>},  {"b1", 1, Widen<uint8_t>},
    {"i1", 1, Widen<int8_t>},   {"i2", 2, Widen<int16_t>}, {"i4", 4, Widen<int32_t>},
    {"i8", 8, Widen<int64_t>},  {"u1", 1, Widen<uint8_t>}, {"u2", 2, Widen<uint16_t>},
    {"u4", 4, Widen<uint32_t>}, {"u8", 8, Widen<uint64_t>}};

// Texts of `units` code points each, padded with zeros. Only printable ASCII: they become names.
std::optional<std::vector<std::string>> Texts(std::string_view data, size_t units) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin < data.size(); begin += 4 * units) {
    std::string& text = out.emplace_back();
    for (size_t i = 0; i < units; ++i) {
      uint32_t code;
      std::memcpy(&code, data.data() + begin + 4 * i, sizeof(code));
      if (code == 0) continue;
      if (code < 32 || code > 126) return std::nullopt;
      text.push_back(static_cast<char>(code));
    }
  }
  return out;
}

}  // namespace

int64_t NpyArray::elements() const {
  return static_cast<int64_t>(std::max(numbers.size(), texts.size()));
}

std::string NpyArray::ShapeText() const {
  return absl::StrCat("(", absl::StrJoin(shape, ", "), ")");
}

absl::StatusOr<NpyArray> ParseNpy(std::string_view bytes, const std::string& path) {
  RETORT_ASSIGN_OR_RETURN(const Header header, ReadHeader(bytes, path));
  const std::string_view descr = header.descr;
  const std::string dtype(descr.substr(descr.find_first_not_of("<>|=")));
  const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [&](const NumberType& t) { return t.name == dtype; });
  int units = 0;
  const bool is_text =
      dtype[0] == 'U' && absl::SimpleAtoi(dtype.substr(1), &units) && units >= 1 && units <= 1024;
  if (!is_text && type == std::end(kTypes)) {
    return Wrong(path, absl::StrCat("its dtype is '", header.descr,
                                    "'; must be bool, an integer, float32, float64 or texts (U)"));
  }
  if (descr[0] == '>') {
    return Wrong(path, absl::StrCat("its dtype '", header.descr,
                                    "' is big-endian; write it with .astype('<", dtype, "')"));
  }
  if (header.fortran_order && header.shape.size() > 1) {
    return Wrong(path, "in Fortran order; write it with numpy.ascontiguousarray");
  }
  NpyArray array{path, header.shape, {}, {}};
  int64_t elements = 1;
  for (const int64_t extent : header.shape) {
    if (extent != 0 && elements > kMaxElements / extent) {
      return Wrong(path, absl::StrCat("its shape ", array.ShapeText(), " is too large"));
    }
    elements *= extent;
  }
  const auto data = bytes.substr(header.data_at);
  const size_t wanted =
      static_cast<size_t>(elements) * (is_text ? 4 * static_cast<size_t>(units) : type->bytes);
  if (data.size() != wanted) {
    return Wrong(
        path, absl::StrCat("damaged or cut short: ", data.size(), " bytes of numbers; its ",
                           "shape ", array.ShapeText(), " of ", header.descr, " takes ", wanted));
  }
  if (!is_text) {
    array.numbers = type->widen(data);
    return array;
  }
  auto texts = Texts(data, static_cast<size_t>(units));
  if (!texts) return Wrong(path, "holds a text with other characters than printable ASCII");
  array.texts = *std::move(texts);
  return array;
}

absl::StatusOr<NpyArray> ReadNpy(const std::string& path) {
  RETORT_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  return ParseNpy(bytes, path);
}

}  // namespace retort
