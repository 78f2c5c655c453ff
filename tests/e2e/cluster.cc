#include "tests/e2e/cluster.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"

namespace retort::e2e {

Cluster::Cluster() : folder_(testing::TempDir() + "retort-e2e-" + NewUuid()) {
  EXPECT_TRUE(MakeFolders(folder_).ok());
}

Cluster::~Cluster() {
  server_.reset();
  if (!testing::Test::HasFailure()) std::filesystem::remove_all(folder_);
}

void Cluster::StartServer() {
  const std::string file = folder_ + "/address";
  std::filesystem::remove(file);
  server_ = std::make_unique<Process>(
      std::vector<std::string>{"retort-server", "--folder", folder_ + "/server", "--listen",
                               address_, "--address-file", file, "--lease", "3s"},
      folder_, "server");
  ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return std::filesystem::exists(file); }))
      << ReadFile(folder_ + "/server.err").value_or("");
  address_ = std::string(absl::StripAsciiWhitespace(*ReadFile(file)));
}

void Cluster::KillServer() {
  server_->Signal(SIGKILL);
  ASSERT_TRUE(server_->Wait(absl::Seconds(10)).has_value());
}

std::unique_ptr<Process> Cluster::StartWorker(const std::string& id, int slots, int epoch_ms,
                                              std::map<std::string, std::string> environment) {
  environment["RETORT_FAKE_EPOCH_MS"] = absl::StrCat(epoch_ms);
  return std::make_unique<Process>(
      std::vector<std::string>{"retort-worker", "--coordinator", address_, "--id", id, "--folder",
                               folder_ + "/" + id, "--slots", absl::StrCat(slots), "--runner",
                               std::string(RETORT_BINARY_DIR) + "/bin/retort-fake-runner"},
      folder_, id, environment);
}

Outcome Cluster::Cli(std::vector<std::string> arguments, absl::Duration limit) {
  arguments.insert(arguments.begin(), "retort");
  arguments.push_back("--coordinator");
  arguments.push_back(address_);
  return RunCommand(arguments, folder_, limit);
}

nlohmann::json Cluster::Json(std::vector<std::string> arguments) {
  arguments.push_back("-o");
  arguments.push_back("json");
  const Outcome outcome = Cli(arguments);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  auto parsed = nlohmann::json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(parsed.is_discarded()) << outcome.out;
  return parsed;
}

std::string Cluster::Write(const std::string& name, const std::string& text) {
  EXPECT_TRUE(WriteFileAtomically(folder_ + "/" + name, text).ok());
  return folder_ + "/" + name;
}

void Cluster::MakeDataset() {
  const Outcome made = RunCommand({"retort", "data", "synth", "--out", folder_ + "/d.safetensors",
                                   "--subjects", "6", "--minutes", "1", "--seed", "1"},
                                  folder_);
  ASSERT_EQ(made.exit_code, 0) << made.err;
}

int CountJobs(const nlohmann::json& jobs, const std::string& state) {
  int count = 0;
  for (const auto& job : jobs) count += job["state"] == state;
  return count;
}

}  // namespace retort::e2e
