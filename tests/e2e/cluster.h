// A coordinator and workers as real processes in a temporary folder, and the command line against
// them.
#ifndef RETORT_TESTS_E2E_CLUSTER_H_
#define RETORT_TESTS_E2E_CLUSTER_H_

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/e2e/process.h"

namespace retort::e2e {

class Cluster {
 public:
  Cluster();
  ~Cluster();

  // Starts the coordinator, on the same address as before if it was started before, and waits until
  // it answers.
  void StartServer();
  // The same without waiting.
  void LaunchServer();
  // SIGKILL, as a power loss would.
  void KillServer();
  Process& server() { return *server_; }
  const std::string& address() const { return address_; }
  // What the coordinator has said so far.
  std::string ServerLog() const;

  // How long a silent worker keeps its jobs; of coordinators that are started from now on.
  void set_lease(const std::string& lease) { lease_ = lease; }
  // A fixed address for coordinators that are started from now on, outside the range that the
  // kernel gives to clients: one that is away for long finds it free again.
  void FixAddress();
  // The coordinator's folder, for a disk of its own, and what is put before its command line.
  void set_server_folder(const std::string& folder) { server_folder_ = folder; }
  void set_server_prefix(std::vector<std::string> prefix) { server_prefix_ = std::move(prefix); }
  const std::string& server_folder() const { return server_folder_; }

  // The program that workers run, `retort-fake-runner` unless another is named.
  void set_runner(const std::string& name) { runner_ = name; }
  // Starts a worker that runs `retort-fake-runner`, each epoch taking `epoch_ms`. `prefix` is put
  // before its command line; its folder is FOLDER/ID unless another is given.
  std::unique_ptr<Process> StartWorker(const std::string& id, int slots, int epoch_ms,
                                       std::map<std::string, std::string> environment = {},
                                       std::vector<std::string> prefix = {},
                                       const std::string& worker_folder = "");

  // Runs `retort ARGUMENTS --coordinator ...`.
  Outcome Cli(std::vector<std::string> arguments, absl::Duration limit = absl::Seconds(60));
  // The same with `-o json`, which must succeed.
  nlohmann::json Json(std::vector<std::string> arguments);

  // Writes a file into the folder; returns its path.
  std::string Write(const std::string& name, const std::string& text);
  // A small synthetic dataset `d.safetensors` in the folder.
  void MakeDataset();

  const std::string& folder() const { return folder_; }

 private:
  std::string folder_;
  std::string server_folder_;
  std::string address_ = "127.0.0.1:0";
  std::string lease_ = "3s";
  std::string runner_ = "retort-fake-runner";
  std::vector<std::string> server_prefix_;
  std::unique_ptr<Process> server_;
};

// Jobs of a sweep in a state, from `retort job list -o json`.
int CountJobs(const nlohmann::json& jobs, const std::string& state);

}  // namespace retort::e2e

#endif  // RETORT_TESTS_E2E_CLUSTER_H_
