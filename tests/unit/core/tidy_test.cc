// The core is pure: this reads its sources.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <string>

namespace retort::core {
namespace {

TEST(TidyTest, CoreReadsNoClockDrawsNothingAndTalksToNobody) {
  const std::regex banned(
      R"((absl::Now|GetCurrentTimeNanos|_clock::|clock_gettime|gettimeofday|std::time\b|\btime\(NULL|)"
      R"(SystemClock|<random>|absl/random|\brand\(|random_device|mt19937|std::thread|<thread>|<mutex>|)"
      R"(<atomic>|<future>|absl/synchronization|grpc|sqlite|spdlog|common/log\.h|getenv|<fstream>|<iostream>|NewUuid))");
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(RETORT_SOURCE_DIR "/server/core")) {
    if (entry.path().extension() != ".h" && entry.path().extension() != ".cc") continue;
    ++files;
    std::ifstream in(entry.path());
    std::string line;
    for (int number = 1; std::getline(in, line); ++number) {
      const std::string code = line.substr(0, line.find("//"));
      EXPECT_FALSE(std::regex_search(code, banned))
          << entry.path() << ":" << number << ": " << line;
    }
  }
  EXPECT_GT(files, 20);
}

}  // namespace
}  // namespace retort::core
