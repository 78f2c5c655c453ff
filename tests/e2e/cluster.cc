#include "tests/e2e/cluster.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <filesystem>
#include <random>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"

namespace retort::e2e {

Cluster::Cluster()
    : folder_(testing::TempDir() + "retort-e2e-" + NewUuid()), server_folder_(folder_ + "/server") {
  EXPECT_TRUE(MakeFolders(folder_).ok());
}

Cluster::~Cluster() {
  server_.reset();
  if (!testing::Test::HasFailure()) std::filesystem::remove_all(folder_);
}

void Cluster::FixAddress() {
  std::random_device random;
  for (int tries = 0; tries < 100; ++tries) {
    const int port = 15000 + static_cast<int>(random() % 15000);
    const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) continue;
    address_ = absl::StrCat("127.0.0.1:", port);
    return;
  }
  FAIL() << "no free port";
}

void Cluster::LaunchServer() {
  const std::string file = folder_ + "/address";
  std::filesystem::remove(file);
  std::vector<std::string> arguments = server_prefix_;
  const std::string program = std::string(RETORT_BINARY_DIR) + "/bin/retort-server";
  for (const std::string& argument :
       {program, std::string("--folder"), server_folder_, std::string("--listen"), address_,
        std::string("--address-file"), file, std::string("--lease"), lease_}) {
    arguments.push_back(argument);
  }
  // In a mount namespace of its own nobody out here sees its access files.
  if (!server_prefix_.empty()) arguments.push_back("--insecure");
  server_ = std::make_unique<Process>(arguments, folder_, "server");
}

void Cluster::StartServer() {
  LaunchServer();
  const std::string file = folder_ + "/address";
  ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return std::filesystem::exists(file); }))
      << ServerLog();
  address_ = std::string(absl::StripAsciiWhitespace(*ReadFile(file)));
}

void Cluster::KillServer() {
  server_->Signal(SIGKILL);
  ASSERT_TRUE(server_->Wait(absl::Seconds(10)).has_value());
}

std::string Cluster::ServerLog() const { return ReadFile(folder_ + "/server.err").value_or(""); }

std::unique_ptr<Process> Cluster::StartWorker(const std::string& id, int slots, int epoch_ms,
                                              std::map<std::string, std::string> environment,
                                              std::vector<std::string> prefix,
                                              const std::string& worker_folder) {
  environment["RETORT_FAKE_EPOCH_MS"] = absl::StrCat(epoch_ms);
  const std::string bin = std::string(RETORT_BINARY_DIR) + "/bin/";
  std::vector<std::string> arguments = std::move(prefix);
  for (const std::string& argument :
       {bin + "retort-worker", std::string("--coordinator"), address_, std::string("--id"), id,
        std::string("--folder"), worker_folder.empty() ? folder_ + "/" + id : worker_folder,
        std::string("--slots"), absl::StrCat(slots), std::string("--runner"), bin + runner_}) {
    arguments.push_back(argument);
  }
  return std::make_unique<Process>(arguments, folder_, id, environment);
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
