// The safetensors format (https://github.com/huggingface/safetensors): 8 bytes of little-endian
// header length, a JSON header that names dtype, shape and byte range of every tensor, then raw
// little-endian numbers. Reading runs no code. Pure but for ReadFile and ReadWholeFile.
#ifndef RETORT_COMMON_SPEC_SAFETENSORS_H_
#define RETORT_COMMON_SPEC_SAFETENSORS_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/spec/expected.h"

namespace retort {

enum class DType { kF16, kBF16, kF32, kF64, kI8, kI16, kI32, kI64, kU8, kBool };

int64_t BytesOf(DType dtype);
// `F32` and the like, as in the format.
std::string_view NameOf(DType dtype);

// One tensor; `data` points into the file it came from.
struct TensorView {
  DType dtype;
  std::vector<int64_t> shape;  // row-major; empty for a scalar
  std::string_view data;

  int64_t elements() const;
  // Elements as T, copied (the format does not align them). Only if sizeof(T) is the dtype's size.
  template <typename T>
  std::vector<T> Copy() const {
    std::vector<T> out(data.size() / sizeof(T));
    std::copy(data.begin(), data.end(), reinterpret_cast<char*>(out.data()));
    return out;
  }
};

// A file that was read and checked whole: ranges lie within it, do not overlap, and fit their
// shapes.
class Safetensors {
 public:
  // `what` names the bytes in errors, such as the file's path.
  static Expected<Safetensors> Parse(std::string bytes, const std::string& what);
  static Expected<Safetensors> ReadFile(const std::string& path);

  // The tensor of that name or an error that lists what there is.
  Expected<TensorView> Find(const std::string& name) const;
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  // Of `__metadata__`.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // Value of a metadata key, or an error.
  Expected<std::string> Metadata(const std::string& key) const;
  const std::string& what() const { return what_; }

  Safetensors(Safetensors&&) = default;
  Safetensors& operator=(Safetensors&&) = default;

 private:
  Safetensors() = default;

  std::string what_;
  std::vector<char>
      bytes_;  // not a string: a moved short string would move its bytes from under the views
  std::map<std::string, TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

// The bytes of a file, or an error that names it.
Expected<std::string> ReadWholeFile(const std::string& path);

// A tensor to write; `data` has elements in row-major order.
struct TensorToWrite {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  std::string_view data;
};

// The bytes of a file. The same arguments give the same bytes: they are hashed.
std::string SerializeSafetensors(const std::map<std::string, std::string>& metadata,
                                 const std::vector<TensorToWrite>& tensors);

// The bytes of numbers, for TensorToWrite.
template <typename T>
std::string_view BytesOfVector(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace retort

#endif  // RETORT_COMMON_SPEC_SAFETENSORS_H_
