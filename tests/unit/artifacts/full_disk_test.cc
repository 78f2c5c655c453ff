// Files on a disk that is full: a small one of memory, mounted by a child that has its own view of
// mounts.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "common/hash.h"
#include "server/artifacts/artifact_store.h"
#include "server/artifacts/log_store.h"

namespace retort {
namespace {

constexpr int kPassed = 0, kFailed = 1, kCannotMount = 2;

// Runs `test` in a child where `folder` is a disk of two megabytes; its exit code.
int OnSmallDisk(bool (*test)(const std::string& folder)) {
  std::string folder = "/tmp/retort-full-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return kFailed;
  const pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) _exit(kCannotMount);
    mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    if (mount("small", folder.c_str(), "tmpfs", 0, "size=2m") != 0) _exit(kCannotMount);
    _exit(test(folder) ? kPassed : kFailed);
  }
  int status = 0;
  waitpid(child, &status, 0);
  std::filesystem::remove_all(folder);
  return WIFEXITED(status) ? WEXITSTATUS(status) : kFailed;
}

#define RETORT_NEED(condition)                                   \
  if (!(condition)) {                                            \
    std::fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
    return false;                                                \
  }

void Fill(const std::string& path) { std::ofstream(path) << std::string(4 << 20, 'x'); }

bool UploadGoesOn(const std::string& folder) {
  const std::string bytes(1 << 20, 'a');
  const ArtifactHash hash(Sha256Of(bytes));
  auto store = *ArtifactStore::Open(folder + "/artifacts");
  auto writer = *store->Write(hash, 1 << 20, 0);
  RETORT_NEED(writer->Append(bytes.substr(0, 500'000)).ok());
  Fill(folder + "/others");
  const absl::Status full = writer->Append(bytes.substr(500'000));
  RETORT_NEED(absl::IsResourceExhausted(full));
  RETORT_NEED(std::string(full.message()).find(" bytes are free there") != std::string::npos);
  writer.reset();
  const int64_t held = store->Progress(hash).offset;
  RETORT_NEED(held >= 500'000 && held < 1 << 20);
  std::filesystem::remove(folder + "/others");
  writer = *store->Write(hash, 1 << 20, held);
  RETORT_NEED(writer->Append(bytes.substr(static_cast<size_t>(held))).ok());
  RETORT_NEED(writer->Commit().ok());
  RETORT_NEED(store->Has(hash));
  return true;
}

bool LogGoesOn(const std::string& folder) {
  LogStore logs(folder + "/logs");
  const JobId job(Sha256Of("job"));
  RETORT_NEED(logs.Append(job, 1, 0, "begin").ok());
  Fill(folder + "/others");
  const std::string more(100'000, 'l');
  const auto full = logs.Append(job, 1, 5, more);
  RETORT_NEED(absl::IsResourceExhausted(full.status()));
  RETORT_NEED(std::string(full.status().message()).find("free there") != std::string::npos);
  std::filesystem::remove(folder + "/others");
  // The worker asks where to go on, and sends what is not there.
  const int64_t held = logs.SizeOf(job, 1);
  RETORT_NEED(held >= 5);
  RETORT_NEED(logs.Append(job, 1, 5, more).ok());
  RETORT_NEED(logs.SizeOf(job, 1) == 100'005);
  return true;
}

TEST(FullDiskTest, AnUploadStaysResumableAndGoesOnWhenThereIsSpace) {
  const int code = OnSmallDisk(UploadGoesOn);
  if (code == kCannotMount) GTEST_SKIP() << "this machine lets nobody mount";
  EXPECT_EQ(code, kPassed);
}

TEST(FullDiskTest, ALogGoesOnWhenThereIsSpace) {
  const int code = OnSmallDisk(LogGoesOn);
  if (code == kCannotMount) GTEST_SKIP() << "this machine lets nobody mount";
  EXPECT_EQ(code, kPassed);
}

}  // namespace
}  // namespace retort
