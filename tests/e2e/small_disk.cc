#include "tests/e2e/small_disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/files.h"

namespace retort::e2e {

SmallDisk::SmallDisk(const std::string& folder, int mib) : folder_(folder) {
  EXPECT_TRUE(MakeFolders(folder).ok());
  const std::string script = absl::StrCat("mount -t tmpfs -o size=", mib, "m tmpfs '", folder,
                                          "' && touch '", folder, "/.mounted' && exec sleep 3600");
  holder_ = std::make_unique<Process>(
      std::vector<std::string>{"/usr/bin/unshare", "--user", "--map-root-user", "--mount",
                               "/bin/sh", "-c", script},
      std::filesystem::path(folder).parent_path().string(), "disk");
  works_ = Eventually(absl::Seconds(10), [&] {
    return !holder_->Running() || std::filesystem::exists(Outside(folder + "/.mounted"));
  });
  works_ = works_ && holder_->Running();
}

std::vector<std::string> SmallDisk::prefix() const {
  return {"/usr/bin/nsenter", "--target", absl::StrCat(holder_->pid()),
          "--user",           "--mount",  "--preserve-credentials"};
}

std::string SmallDisk::Outside(const std::string& path) const {
  return absl::StrCat("/proc/", holder_->pid(), "/root", path);
}

void SmallDisk::Fill() {
  const UniqueFd fd(
      open(Outside(folder_ + "/filler").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  ASSERT_TRUE(fd.valid());
  const std::string block(64 << 10, 'x');
  for (size_t size = block.size(); size > 0; size /= 2) {
    while (write(fd.get(), block.data(), size) == static_cast<ssize_t>(size)) {
    }
  }
}

void SmallDisk::Free() { std::filesystem::remove(Outside(folder_ + "/filler")); }

void SmallDisk::SetReadOnly(bool read_only) {
  std::vector<std::string> command = prefix();
  for (const std::string& word : {std::string("/bin/mount"), std::string("-o"),
                                  absl::StrCat("remount,", read_only ? "ro" : "rw"), folder_}) {
    command.push_back(word);
  }
  const Outcome outcome =
      RunCommand(command, std::filesystem::path(folder_).parent_path().string());
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
}

}  // namespace retort::e2e
