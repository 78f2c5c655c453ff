// Rules of style that matter are a test, not a request.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <regex>
#include <string>
#include <vector>

namespace retort {
namespace {

namespace fs = std::filesystem;

struct Source {
  std::string path;  // from the root of the repository
  std::vector<std::string> lines;
};

// The files below `folders` with one of the endings.
std::vector<Source> Sources(const std::vector<std::string>& folders,
                            const std::vector<std::string>& endings) {
  std::vector<Source> out;
  const fs::path root = RETORT_SOURCE_DIR;
  for (const std::string& folder : folders) {
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string ending = entry.path().extension().string();
      if (std::find(endings.begin(), endings.end(), ending) == endings.end()) continue;
      Source source{fs::relative(entry.path(), root).string(), {}};
      std::ifstream in(entry.path());
      for (std::string line; std::getline(in, line);) source.lines.push_back(line);
      out.push_back(std::move(source));
    }
  }
  return out;
}

const std::vector<std::string> kCode = {".h", ".cc"};
const std::vector<std::string> kOurs = {"common", "server", "worker", "client", "tests"};

// Reports every line of the sources that matches `banned`.
void ExpectNoLine(const std::vector<Source>& sources, const std::string& banned,
                  const std::string& why) {
  const std::regex pattern(banned);
  EXPECT_FALSE(sources.empty());
  for (const Source& source : sources) {
    for (size_t i = 0; i < source.lines.size(); ++i) {
      EXPECT_FALSE(std::regex_search(source.lines[i], pattern))
          << source.path << ":" << i + 1 << ": " << why << ":\n  " << source.lines[i];
    }
  }
}

TEST(Tidy, EveryMessageFieldAndRpcOfTheWireIsCommented) {
  const std::regex declaration(
      R"(^\s*((optional |repeated |map<[^>]*> )?[\w.]+ \w+ = \d+.*;|\w+ = \d+;|(message|enum|service|oneof) \w+ \{|rpc \w+.*))");
  const std::regex comment(R"(^\s*//)");
  const auto protos = Sources({"proto"}, {".proto"});
  EXPECT_FALSE(protos.empty());
  for (const Source& proto : protos) {
    for (size_t i = 1; i < proto.lines.size(); ++i) {
      if (!std::regex_search(proto.lines[i], declaration)) continue;
      // The alternatives of `family` and `kind` are named by their messages, which are commented.
      if (std::regex_search(proto.lines[i], std::regex(R"(^    \w+(Spec|Method) \w+ = \d+;)")))
        continue;
      EXPECT_TRUE(std::regex_search(proto.lines[i - 1], comment))
          << proto.path << ":" << i + 1 << " has no comment:\n  " << proto.lines[i];
    }
  }
}

TEST(Tidy, OnlyDistillIncludesTorch) {
  auto sources = Sources({"common", "server", "client", "worker/agent"}, kCode);
  ExpectNoLine(sources, R"(#include\s*[<"](torch|ATen|c10)/)",
               "only worker/distill may include torch");
}

TEST(Tidy, WhatTheRunnerNeedsIsTorchAndProtobufAlone) {
  auto sources = Sources({"common/spec", "worker/distill", "worker/runner"}, kCode);
  ExpectNoLine(sources, R"(#include\s*[<"](absl|spdlog|openssl|grpcpp|nlohmann|sqlite3))",
               "the runner builds with LibTorch and Protobuf alone");
}

TEST(Tidy, FilesAreReadInASitting) {
  for (const Source& source : Sources(kOurs, kCode)) {
    EXPECT_LE(source.lines.size(), 600u) << source.path << " has outgrown a sitting: divide it";
  }
}

TEST(Tidy, NothingIsLeftForLater) {
  ExpectNoLine(Sources({"common", "server", "worker", "client"}, kCode), R"(\b(TODO|FIXME|XXX)\b)",
               "finish it or leave it out");
}

TEST(Tidy, HeadersHaveGuardsNamedByTheirPath) {
  for (const Source& source : Sources(kOurs, {".h"})) {
    std::string guard = "RETORT_" + source.path + "_";
    for (char& c : guard) c = std::isalnum(static_cast<unsigned char>(c)) ? std::toupper(c) : '_';
    const auto has = [&](const std::string& line) {
      return std::find(source.lines.begin(), source.lines.end(), line) != source.lines.end();
    };
    EXPECT_TRUE(has("#ifndef " + guard)) << source.path << " should be guarded by " << guard;
  }
}

}  // namespace
}  // namespace retort
