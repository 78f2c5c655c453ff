// Errors as values for code that may depend on nothing but the C++ library (see
// common/spec/CMakeLists.txt). Elsewhere use absl::StatusOr; common/status.h converts.
#ifndef RETORT_COMMON_SPEC_EXPECTED_H_
#define RETORT_COMMON_SPEC_EXPECTED_H_

#include <string>
#include <utility>
#include <variant>

namespace retort {

// What was wrong: which field or file, its value, what would be right.
struct Error {
  std::string message;
};

// A value or the reason why there is none.
template <typename T>
class [[nodiscard]] Expected {
 public:
  Expected(T value) : content_(std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Expected(Error error) : content_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return content_.index() == 0; }
  // Only if ok().
  const T& value() const& { return std::get<0>(content_); }
  T& value() & { return std::get<0>(content_); }
  T&& value() && { return std::get<0>(std::move(content_)); }
  const T& operator*() const& { return value(); }
  T& operator*() & { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }
  // Only if !ok().
  const std::string& error() const { return std::get<1>(content_).message; }

 private:
  std::variant<T, Error> content_;
};

}  // namespace retort

#endif  // RETORT_COMMON_SPEC_EXPECTED_H_
