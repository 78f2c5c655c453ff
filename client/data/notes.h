// What a dataset's metadata says of single recordings: JSON objects with a recording's name as key.
// Pure.
#ifndef RETORT_CLIENT_DATA_NOTES_H_
#define RETORT_CLIENT_DATA_NOTES_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"

namespace retort {

// Keys of the metadata whose values are notes.
inline constexpr const char* kNoteKeys[] = {"lag_s", "windows_left_out", "recordings_left_out"};

// Text by recording. Lags are numbers in seconds.
using Notes = std::map<std::string, std::string>;

std::string NotesToJson(const Notes& notes);

// INVALID_ARGUMENT: not an object of texts.
absl::StatusOr<Notes> NotesFromJson(const std::string& json);

}  // namespace retort

#endif  // RETORT_CLIENT_DATA_NOTES_H_
