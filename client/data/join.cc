#include "client/data/join.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "client/data/notes.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr const char* kMustAgree[] = {"filter", "band_hz", "rate_hz", "window_s", "stride_s"};

std::string Value(const Dataset& dataset, const std::string& key) {
  const auto found = dataset.metadata.find(key);
  return found == dataset.metadata.end() ? "" : found->second;
}

absl::Status CheckAlike(const NamedDataset& a, const NamedDataset& b) {
  const auto differ = [&](const std::string& what, const auto& of_a, const auto& of_b,
                          const std::string& remedy) {
    return absl::InvalidArgumentError(absl::StrCat(a.path, " and ", b.path, " differ in ", what,
                                                   ": ", of_a, " and ", of_b, "; ", remedy));
  };
  if (a.dataset.channels_count != b.dataset.channels_count) {
    return differ("their number of channels", a.dataset.channels_count, b.dataset.channels_count,
                  "prepare them with as many, such as --channels 1,2");
  }
  if (a.dataset.samples != b.dataset.samples) {
    return differ("samples per window", a.dataset.samples, b.dataset.samples,
                  "prepare them with the same rate and window");
  }
  for (const std::string key : kMustAgree) {
    const std::string of_a = Value(a.dataset, key), of_b = Value(b.dataset, key);
    if (of_a != of_b) {
      return differ(absl::StrCat("metadata '", key, "'"), absl::StrCat("'", of_a, "'"),
                    absl::StrCat("'", of_b, "'"), "prepare them alike");
    }
  }
  return absl::OkStatus();
}

std::string PrefixOf(const NamedDataset& part) {
  const std::string name = Value(part.dataset, "name");
  return (name.empty() ? std::filesystem::path(part.path).stem().string() : name) + "/";
}

std::string Prefixed(const std::string& prefix, const std::string& name) {
  return name.find('/') == std::string::npos ? prefix + name : name;
}

// `names` behind those of `all`, prefixed. INVALID_ARGUMENT: one that is there already.
absl::Status AppendNames(const NamedDataset& part, const std::string& what,
                         const std::vector<std::string>& names,
                         std::map<std::string, std::string>& path_of,
                         std::vector<std::string>& all) {
  for (const auto& name : names) {
    const std::string full = Prefixed(PrefixOf(part), name);
    const auto [other, fresh] = path_of.emplace(full, part.path);
    if (!fresh) {
      return absl::InvalidArgumentError(
          absl::StrCat(other->second, " and ", part.path, " both have the ", what, " '", full,
                       "'; join datasets that share none, each with another name in its metadata"));
    }
    all.push_back(full);
  }
  return absl::OkStatus();
}

template <typename T>
void Append(const std::vector<T>& from, std::vector<T>& to, T offset = 0) {
  for (const T& value : from) to.push_back(value + offset);
}

absl::Status JoinMetadata(const std::vector<NamedDataset>& parts, Dataset& joined) {
  std::map<std::string, Notes> notes;
  std::map<std::string, std::vector<std::string>> texts;  // different ones, in order
  for (const auto& part : parts) {
    for (const auto& [key, value] : part.dataset.metadata) {
      if (std::find(std::begin(kNoteKeys), std::end(kNoteKeys), key) != std::end(kNoteKeys)) {
        const auto own = NotesFromJson(value);
        if (!own.ok()) return Annotate(own.status(), absl::StrCat(part.path, ": metadata ", key));
        for (const auto& [recording, note] : *own) {
          notes[key][Prefixed(PrefixOf(part), recording)] = note;
        }
      } else if (auto& seen = texts[key];
                 std::find(seen.begin(), seen.end(), value) == seen.end()) {
        seen.push_back(value);
      }
    }
  }
  for (const auto& [key, values] : texts) {
    std::string& text = joined.metadata[key];
    for (const auto& value : values) absl::StrAppend(&text, text.empty() ? "" : " + ", value);
  }
  for (const auto& [key, by_recording] : notes) joined.metadata[key] = NotesToJson(by_recording);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Dataset> JoinDatasets(const std::vector<NamedDataset>& parts) {
  if (parts.size() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("joining takes at least two datasets; there is ", parts.size()));
  }
  Dataset d;
  d.channels = parts[0].dataset.channels;
  d.channels_count = parts[0].dataset.channels_count;
  d.samples = parts[0].dataset.samples;
  bool same_names = true;
  std::map<std::string, std::string> subject_paths, recording_paths;
  for (const auto& part : parts) {
    const Dataset& own = part.dataset;
    RETORT_RETURN_IF_ERROR(CheckAlike(parts[0], part));
    same_names = same_names && own.channels == d.channels;
    const auto subjects = static_cast<int32_t>(d.subjects.size());
    const auto recordings = static_cast<int32_t>(d.recordings.size());
    RETORT_RETURN_IF_ERROR(AppendNames(part, "subject", own.subjects, subject_paths, d.subjects));
    RETORT_RETURN_IF_ERROR(
        AppendNames(part, "recording", own.recordings, recording_paths, d.recordings));
    d.windows_count += own.windows_count;
    Append(own.windows_WCL, d.windows_WCL);
    Append(own.bpm_W, d.bpm_W);
    Append(own.fft_bpm_WC, d.fft_bpm_WC);
    Append(own.start_s_W, d.start_s_W);
    Append(own.subject_W, d.subject_W, subjects);
    Append(own.recording_W, d.recording_W, recordings);
  }
  for (int c = 0; !same_names && c < d.channels_count; ++c) {
    d.channels[c] = absl::StrCat("channel", c + 1);
  }
  RETORT_RETURN_IF_ERROR(JoinMetadata(parts, d));
  RETORT_RETURN_IF_ERROR(ToStatusOr(CheckDataset(d, "the joined dataset")).status());
  return d;
}

}  // namespace retort
