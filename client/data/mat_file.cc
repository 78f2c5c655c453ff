#include "client/data/mat_file.h"

#include <matio.h>
#include <zlib.h>

#include <bit>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"

namespace retort {
namespace {

// Layout: "MAT-File Format", MathWorks, chapter 1 (Level 5).
constexpr size_t kHeaderBytes = 128;
constexpr size_t kTagBytes = 8;
constexpr size_t kMaxElementBytes = size_t{1} << 30;
constexpr uint32_t kMatrixType = 14, kCompressedType = 15;
constexpr uint32_t kTextClass = 4, kUtf8Type = 16;
constexpr uint32_t kFirstNumericClass = 6, kLastNumericClass = 15;

absl::Status Damaged(const std::string& path, const std::string& why) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": damaged or cut short: ", why, "; fetch the file again"));
}

uint32_t ReadU32(std::string_view bytes, size_t at, bool swap) {
  uint32_t value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return swap ? __builtin_bswap32(value) : value;
}

// Bytes of one number of a stored type; 0 for a type that is no number.
size_t BytesOfType(uint32_t type) {
  constexpr size_t kBytes[] = {0, 1, 1, 2, 2, 4, 4, 4, 0, 8, 0, 0, 8, 8};
  return type < std::size(kBytes) ? kBytes[type] : 0;
}

struct Element {
  uint32_t type;
  std::string_view data;
  size_t end;  // where the next one begins
};

// The element at `at`, or nothing if it does not lie within `bytes`. Up to 4 bytes of data can lie
// in the tag itself; others are padded to 8 bytes.
std::optional<Element> ReadElement(std::string_view bytes, size_t at, bool swap) {
  if (at > bytes.size() || bytes.size() - at < kTagBytes) return std::nullopt;
  const uint32_t first = ReadU32(bytes, at, swap);
  if (const uint32_t small_size = first >> 16; small_size != 0) {
    if (small_size > 4) return std::nullopt;
    return Element{first & 0xffff, bytes.substr(at + 4, small_size), at + kTagBytes};
  }
  const size_t size = ReadU32(bytes, at + 4, swap);
  if (bytes.size() - at - kTagBytes < size) return std::nullopt;
  const size_t padded = (size + 7) / 8 * 8;
  return Element{first, bytes.substr(at + kTagBytes, size),
                 std::min(at + kTagBytes + padded, bytes.size())};
}

// Unpacks a compressed element; `why` says what failed.
std::optional<std::string> Unpack(std::string_view packed, std::string& why) {
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) {
    why = "zlib could not start";
    return std::nullopt;
  }
  const std::unique_ptr<z_stream, int (*)(z_stream*)> owner(&stream, inflateEnd);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string out;
  int state = Z_OK;
  while (state == Z_OK) {
    const size_t had = out.size();
    if (had > kMaxElementBytes) {
      why = "a compressed element is larger than 1 GiB";
      return std::nullopt;
    }
    out.resize(had + (size_t{1} << 20));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + had);
    stream.avail_out = static_cast<uInt>(out.size() - had);
    state = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
  }
  if (state == Z_STREAM_END) return out;
  why = absl::StrCat("a compressed element ends early or fails its checksum after ", out.size(),
                     " bytes");
  return std::nullopt;
}

// What is wrong with the parts of a matrix element, or nothing. Arrays that hold others are
// refused: matio asks for as much memory as any part of them says that it has (seen: 6.9 GB for 280
// bytes).
std::optional<std::string> WrongMatrix(std::string_view matrix, bool swap) {
  const auto flags = ReadElement(matrix, 0, swap);
  if (!flags || flags->data.size() != 8) return "a variable has no flags";
  const uint32_t array_class = ReadU32(flags->data, 0, swap) & 0xff;
  const bool text = array_class == kTextClass;
  if (!text && (array_class < kFirstNumericClass || array_class > kLastNumericClass)) {
    return "a variable is no plain matrix (cells, structs, objects, sparse ones), which is not "
           "read; "
           "save the matrices that are meant, by name";
  }
  const bool complex = (ReadU32(flags->data, 0, swap) & 0x800) != 0;
  const auto extents = ReadElement(matrix, flags->end, swap);
  if (!extents || extents->data.size() < 8 || extents->data.size() % 4 != 0) {
    return "a variable has no extents";
  }
  uint64_t count = 1;
  for (size_t i = 0; i < extents->data.size(); i += 4) {
    count *= ReadU32(extents->data, i, swap);
    if (count > kMaxElementBytes) return "a variable has impossible extents";
  }
  const auto name = ReadElement(matrix, extents->end, swap);
  if (!name) return "a variable has no name";
  size_t at = name->end;
  for (int part = 0; part < (complex ? 2 : 1); ++part) {
    const auto numbers = ReadElement(matrix, at, swap);
    const size_t width = !numbers                             ? 0
                         : text && numbers->type == kUtf8Type ? 1  // more for what is not ASCII
                                                              : BytesOfType(numbers->type);
    if (width == 0 || numbers->data.size() != count * width) {
      return "a variable's numbers do not fit its extents";
    }
    at = numbers->end;
  }
  return std::nullopt;
}

struct CloseMat {
  void operator()(mat_t* file) const { Mat_Close(file); }
};
struct FreeVariable {
  void operator()(matvar_t* variable) const { Mat_VarFree(variable); }
};
using Variable = std::unique_ptr<matvar_t, FreeVariable>;

std::string NamesIn(mat_t* file) {
  std::string names;
  Mat_Rewind(file);
  while (Variable variable{Mat_VarReadNextInfo(file)}) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", variable->name ? variable->name : "?");
  }
  return names.empty() ? "nothing" : names;
}

template <typename T>
std::vector<double> Widen(const matvar_t& variable, size_t count) {
  const T* numbers = static_cast<const T*>(variable.data);
  return {numbers, numbers + count};
}

std::optional<std::vector<double>> Numbers(const matvar_t& variable, size_t count) {
  if (count == 0) return std::vector<double>{};
  if (variable.data == nullptr || variable.isComplex) return std::nullopt;
  if (variable.nbytes != count * static_cast<size_t>(variable.data_size)) return std::nullopt;
  switch (variable.class_type) {
    case MAT_C_DOUBLE:
      return Widen<double>(variable, count);
    case MAT_C_SINGLE:
      return Widen<float>(variable, count);
    case MAT_C_INT8:
      return Widen<int8_t>(variable, count);
    case MAT_C_UINT8:
      return Widen<uint8_t>(variable, count);
    case MAT_C_INT16:
      return Widen<int16_t>(variable, count);
    case MAT_C_UINT16:
      return Widen<uint16_t>(variable, count);
    case MAT_C_INT32:
      return Widen<int32_t>(variable, count);
    case MAT_C_UINT32:
      return Widen<uint32_t>(variable, count);
    default:
      return std::nullopt;
  }
}

}  // namespace

absl::Status CheckMatFile(std::string_view bytes, const std::string& path) {
  if (bytes.size() >= 4 && bytes.substr(0, 4) == "\x89HDF") {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": an HDF5 file; must be a MAT file of version 5 (save -v7 or -v6)"));
  }
  if (bytes.size() < kHeaderBytes) {
    return Damaged(path, absl::StrCat("it has ", bytes.size(), " bytes, and the header of a MAT ",
                                      "file alone has ", kHeaderBytes));
  }
  const std::string_view order = bytes.substr(126, 2);
  const bool little = order == "IM";
  const auto version_byte = static_cast<unsigned char>(bytes[little ? 125 : 124]);
  if ((!little && order != "MI") || version_byte != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": not a MAT file of version 5 (as MATLAB writes with save -v7 or -v6)"));
  }
  const bool swap = little != (std::endian::native == std::endian::little);
  size_t at = kHeaderBytes;
  if (at == bytes.size()) return Damaged(path, "it ends after the header");
  while (at < bytes.size()) {
    if (bytes.size() - at < kTagBytes) return Damaged(path, "it ends within an element's tag");
    const uint32_t type = ReadU32(bytes, at, swap);
    const size_t size = ReadU32(bytes, at + 4, swap);
    at += kTagBytes;
    if (bytes.size() - at < size) {
      return Damaged(path, absl::StrCat("it has ", bytes.size(), " bytes, and an element in it ",
                                        "reaches to byte ", at + size));
    }
    std::string_view matrix = bytes.substr(at, size);
    std::string unpacked, why;
    if (type == kCompressedType) {
      auto content = Unpack(matrix, why);
      if (!content) return Damaged(path, why);
      unpacked = *std::move(content);
      if (unpacked.size() < kTagBytes || ReadU32(unpacked, 0, swap) != kMatrixType ||
          ReadU32(unpacked, 4, swap) != unpacked.size() - kTagBytes) {
        return Damaged(path, "a compressed element does not hold a whole variable");
      }
      matrix = std::string_view(unpacked).substr(kTagBytes);
    } else if (type != kMatrixType) {
      return Damaged(path, absl::StrCat("an element has type ", type, ", which is no variable"));
    }
    if (auto wrong = WrongMatrix(matrix, swap)) return Damaged(path, *wrong);
    at += size;
  }
  return absl::OkStatus();
}

absl::StatusOr<Matrix> ReadMatrix(const std::string& path, const std::string& variable) {
  RETORT_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  RETORT_RETURN_IF_ERROR(CheckMatFile(bytes, path));
  const std::unique_ptr<mat_t, CloseMat> file(Mat_Open(path.c_str(), MAT_ACC_RDONLY));
  if (!file) return Damaged(path, "matio cannot open it");
  const Variable read(Mat_VarRead(file.get(), variable.c_str()));
  if (!read) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": no variable '", variable, "'; it holds: ", NamesIn(file.get())));
  }
  if (read->rank != 2) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": variable '", variable, "' has ",
                                                   read->rank, " dimensions; must be a matrix"));
  }
  Matrix matrix{static_cast<int64_t>(read->dims[0]), static_cast<int64_t>(read->dims[1]), {}};
  auto numbers = Numbers(*read, read->dims[0] * read->dims[1]);
  if (!numbers) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": variable '", variable, "' must be a matrix of real numbers"));
  }
  matrix.values = *std::move(numbers);
  return matrix;
}

}  // namespace retort
