// Submits a sweep file, waits until its jobs have ended, and prints the error of each network.
#include <iostream>

#include "client/sdk/client.h"
#include "client/sdk/sweep_file.h"

static absl::Status Run(const std::string& address, const std::string& file) {
  const auto sweep = retort::ReadSweepFile(file);
  if (!sweep.ok()) return sweep.status();
  retort::Client client(address);
  const auto created = client.Submit(sweep->spec, sweep->file_paths);
  if (!created.ok()) return created.status();
  const std::string name = created->sweep().name().substr(7);  // behind `sweeps/`

  const auto show = [](const retort::SweepProgress& progress) {
    std::cerr << progress.sweep.counts().succeeded() << " jobs are done\r";
    return true;  // go on
  };
  const auto ended = client.WaitForSweep(name, absl::Minutes(10), show);
  if (!ended.ok()) return ended.status();

  const auto jobs = client.ListJobs(name, {retort::v1::JOB_STATE_SUCCEEDED}, /*full=*/true);
  if (!jobs.ok()) return jobs.status();
  for (const retort::v1::Job& job : *jobs) {
    std::cout << job.model() << " " << job.method() << " seed " << job.seed() << " fold "
              << job.fold() << ": " << job.result().evaluations(0).overall().mae_bpm() << " BPM\n";
  }
  return absl::OkStatus();
}

int main(int argc, char** argv) {
  if (argc != 3) return std::cerr << "usage: sweep HOST:PORT SWEEP.yaml\n", 2;
  const absl::Status status = Run(argv[1], argv[2]);
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
