#include "client/data/notes.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace retort {

std::string NotesToJson(const Notes& notes) {
  // Names come from files and need not be UTF-8.
  return nlohmann::json(notes).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

absl::StatusOr<Notes> NotesFromJson(const std::string& json) {
  const auto parsed = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  Notes notes;
  bool right = parsed.is_object();
  if (right) {
    for (const auto& [recording, value] : parsed.items()) {
      right = right && value.is_string();
      if (right) notes[recording] = value.get<std::string>();
    }
  }
  if (right) return notes;
  return absl::InvalidArgumentError(
      absl::StrCat("'", json.substr(0, 80), "' is not a JSON object of texts by recording"));
}

}  // namespace retort
