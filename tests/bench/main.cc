// retort_bench: measures a retort-server that it starts. README.md says what and how.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <string>

#include "tests/bench/benchmarks.h"

namespace retort::bench {
namespace {

struct Choice {
  std::string folder;
  ThroughputOptions throughput;
  PointsOptions points;
  LatencyOptions latency;
  MillionOptions million;
  FleetLoadOptions fleet;
  double fleet_seconds = 40;
  DaskOptions dask;
  ReadsOptions reads;
  std::function<absl::Status()> run;
};

void AddThroughput(CLI::App& app, Choice& choice) {
  CLI::App* command =
      app.add_subcommand("throughput", "No-op jobs: submitted, leased, acknowledged");
  ThroughputOptions& options = choice.throughput;
  command->add_option("--jobs", options.jobs)->capture_default_str();
  command->add_option("--workers", options.workers)->capture_default_str();
  command->add_option("--slots", options.slots, "Of each worker; all are asked for in each Sync")
      ->capture_default_str();
  command->add_option("--connections", options.connections)->capture_default_str();
  command->callback([&choice] {
    choice.run = [&choice] {
      if (choice.throughput.slots == 1) choice.throughput.name = "throughput_1_slot";
      if (choice.throughput.slots == 1) choice.throughput.target = 0;
      return MeasureThroughput(choice.throughput, choice.folder).status();
    };
  });
}

void AddPoints(CLI::App& app, Choice& choice) {
  CLI::App* command = app.add_subcommand("points", "Metric points streamed and acknowledged");
  PointsOptions& options = choice.points;
  command->add_option("--points", options.points)->capture_default_str();
  command->add_option("--streams", options.streams)->capture_default_str();
  command->add_option("--batch", options.batch, "Points in a message")->capture_default_str();
  command->add_option("--window", options.window, "Messages under way")->capture_default_str();
  command->callback([&choice] {
    choice.run = [&choice] { return MeasurePoints(choice.points, choice.folder); };
  });
}

void AddLatency(CLI::App& app, Choice& choice) {
  CLI::App* command = app.add_subcommand("latency", "Submit to grant on an idle coordinator");
  command->add_option("--samples", choice.latency.samples)->capture_default_str();
  command->add_option("--parked", choice.latency.parked)->capture_default_str();
  command->callback([&choice] {
    choice.run = [&choice] { return MeasureLatency(choice.latency, choice.folder); };
  });
}

void AddMillion(CLI::App& app, Choice& choice) {
  CLI::App* command = app.add_subcommand("million", "One large sweep, from submission to its end");
  command->add_option("--jobs", choice.million.jobs)->capture_default_str();
  command->add_option("--edge", choice.million.edge)->capture_default_str();
  command->callback([&choice] {
    choice.run = [&choice] { return MeasureMillion(choice.million, choice.folder); };
  });
}

void AddFleet(CLI::App& app, Choice& choice) {
  CLI::App* command = app.add_subcommand("fleet", "Many workers that sync and have nothing to say");
  command->add_option("--workers", choice.fleet.workers)->capture_default_str();
  command->add_option("--connections", choice.fleet.connections)->capture_default_str();
  command->add_option("--seconds", choice.fleet_seconds)->capture_default_str();
  command->callback([&choice] {
    choice.run = [&choice] {
      choice.fleet.length = absl::Seconds(choice.fleet_seconds);
      if (choice.fleet_seconds < 5) choice.fleet.period = absl::Milliseconds(200);
      return MeasureFleetLoad(choice.fleet, choice.folder);
    };
  });
}

void AddDask(CLI::App& app, Choice& choice) {
  CLI::App* command = app.add_subcommand("dask", "Throughput beside Dask's scheduler");
  command->add_option("--tasks", choice.dask.dask_tasks, "Of Dask's run")->capture_default_str();
  command->add_option("--jobs", choice.dask.ours.jobs, "Of ours")->capture_default_str();
  command->callback(
      [&choice] { choice.run = [&choice] { return MeasureDask(choice.dask, choice.folder); }; });
}

void AddReads(CLI::App& app, Choice& choice) {
  CLI::App* command = app.add_subcommand("reads", "Results, metrics and queries over much");
  command->add_option("--sweeps", choice.reads.sweeps)->capture_default_str();
  command->add_option("--jobs", choice.reads.jobs, "Of each sweep")->capture_default_str();
  command->add_option("--steps", choice.reads.steps, "Of each series")->capture_default_str();
  command->add_option("--long-series", choice.reads.long_series)->capture_default_str();
  command->callback(
      [&choice] { choice.run = [&choice] { return MeasureReads(choice.reads, choice.folder); }; });
}

int Main(int argc, char** argv) {
  CLI::App app("Measures a retort-server that it starts; prints one line of JSON for each row.",
               "retort_bench");
  Choice choice;
  app.add_option("--folder", choice.folder,
                 "Where the temporary database is made; TMPDIR if not given");
  AddThroughput(app, choice);
  AddPoints(app, choice);
  AddLatency(app, choice);
  AddMillion(app, choice);
  AddFleet(app, choice);
  AddDask(app, choice);
  AddReads(app, choice);
  app.require_subcommand(1);
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = choice.run();
  if (status.ok()) return 0;
  std::fprintf(stderr, "retort_bench: %s\n", status.ToString().c_str());
  return 1;
}

}  // namespace
}  // namespace retort::bench

int main(int argc, char** argv) { return retort::bench::Main(argc, argv); }
