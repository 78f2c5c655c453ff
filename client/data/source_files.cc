#include "client/data/source_files.h"

#include <algorithm>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace retort {

namespace fs = std::filesystem;

absl::StatusOr<FilesByName> ListFiles(const std::string& folder, const std::string& wanted) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    return absl::NotFoundError(
        absl::StrCat(folder, fs::exists(folder, error) ? ": not a folder" : ": no such folder",
                     "; must be the folder of the ", wanted));
  }
  FilesByName files;
  fs::recursive_directory_iterator it(folder, fs::directory_options::skip_permission_denied, error);
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    std::error_code no_file;
    if (it->is_regular_file(no_file)) {
      files[it->path().filename().string()].push_back(it->path());
    }
  }
  if (error) {
    return absl::UnavailableError(absl::StrCat(folder, ": cannot list it: ", error.message()));
  }
  // A folder lists its entries in no order.
  for (auto& [name, paths] : files) std::sort(paths.begin(), paths.end());
  return files;
}

absl::Status CheckOnce(const std::string& folder, const std::string& file,
                       const std::vector<fs::path>& paths) {
  if (paths.size() < 2) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(folder, ": recording ", file, " is there more than once: ", paths[0].string(),
                   " and ", paths[1].string(), "; give a folder with one of them"));
}

}  // namespace retort
