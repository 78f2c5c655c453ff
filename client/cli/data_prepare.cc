#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/data_output.h"
#include "client/data/bami.h"
#include "client/data/csv_recording.h"
#include "client/data/ieee_spc_2015.h"
#include "client/data/npy_recordings.h"
#include "client/data/prepare.h"
#include "client/data/welltory.h"
#include "common/status.h"

namespace retort {
namespace {

struct Flags {
  std::string source;
  std::string from;
  std::string out;
  std::string filter = "recording";
  std::vector<std::string> channels;
  std::vector<std::string> leave_out;
  std::optional<double> lag_s;
  double max_gap_s = PrepareOptions().max_gap_s;
  CsvSource csv;
};

absl::StatusOr<PrepareOptions> OptionsOf(const Flags& flags) {
  PrepareOptions options;
  const auto filter = ParseFilterMode(flags.filter);
  if (!filter.ok()) return Annotate(filter.status(), "--filter");
  options.filter = *filter;
  options.channels = flags.channels;
  options.lag_s = flags.lag_s;
  options.max_gap_s = flags.max_gap_s;
  if (flags.leave_out == std::vector<std::string>{"none"}) {
    options.leave_out.emplace();
  } else if (!flags.leave_out.empty()) {
    options.leave_out = flags.leave_out;
  }
  return options;
}

absl::StatusOr<Dataset> PrepareFrom(const Flags& flags) {
  RETORT_ASSIGN_OR_RETURN(const PrepareOptions options, OptionsOf(flags));
  const CsvSource& csv = flags.csv;
  if (flags.source == "csv") {
    CsvSource source = csv;
    source.path = flags.from;
    return PrepareCsv(source, options);
  }
  if (csv.rate_hz || !csv.time_column.empty() || !csv.ppg.empty() || !csv.bpm_path.empty() ||
      !csv.subject.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--time, --rate, --ppg, --bpm and --subject are for csv, not for ", flags.source));
  }
  if (flags.source == "bami") return PrepareBami(flags.from, options);
  if (flags.source == "welltory") return PrepareWelltory(flags.from, options);
  if (flags.source == "npy") return PrepareNpy(flags.from, options);
  return PrepareIeeeSpc2015(flags.from, options);
}

void Prepare(Context& context, const Flags& flags) {
  absl::StatusOr<Dataset> dataset = PrepareFrom(flags);
  // A file that is missing among the sources is a mistake of the caller, like one that is damaged.
  if (absl::IsNotFound(dataset.status())) {
    dataset = absl::InvalidArgumentError(dataset.status().message());
  }
  WriteDataset(context, dataset, flags.out);
}

void AddCsvOptions(CLI::App& prepare, CsvSource& csv) {
  prepare.add_option("--time", csv.time_column, "csv: column with seconds");
  prepare.add_option("--rate", csv.rate_hz, "csv: Hz, where there is no such column");
  prepare.add_option("--ppg", csv.ppg, "csv: columns with PPG, by name or number from 1")
      ->delimiter(',');
  prepare.add_option("--bpm", csv.bpm_path,
                     "csv: file with a reference heart rate per line for each window of 8 s, every "
                     "2 s; empty or nan where there is none");
  prepare.add_option("--subject", csv.subject, "csv: whose recording it is; the file's name");
}

}  // namespace

void AddPrepareCommand(CLI::App& group, Context& context) {
  CLI::App* prepare = group.add_subcommand("prepare", "original recordings to a prepared dataset");
  const auto flags = std::make_shared<Flags>();
  prepare
      ->add_option(
          "SOURCE", flags->source,
          "ieee-spc-2015: the IEEE Signal Processing Cup's MAT files; bami: BAMI1_n.mat, "
          "labels 1 s earlier, 5, 15 and 25 left out (misaligned); welltory: "
          "subject_NN/PPG.csv and RR.txt, never to be split, 20 left out (unusable); csv: "
          "one recording; npy: signal.npy, rate.npy, bpm.npy in a folder per recording, or "
          "windows.npy, bpm.npy, subject.npy")
      ->required()
      ->check(CLI::IsMember({"ieee-spc-2015", "bami", "welltory", "csv", "npy"}));
  prepare->add_option("--from", flags->from, "folder with the original files; for csv, the file")
      ->required();
  prepare->add_option("--out", flags->out, "file to write (.safetensors)")->required();
  prepare->add_option("--filter", flags->filter, kFilterHelp)->capture_default_str();
  prepare
      ->add_option("--channels", flags->channels,
                   "PPG channels to keep, by name or number from 1, such as 1,2; all by default")
      ->delimiter(',');
  prepare
      ->add_option("--leave-out", flags->leave_out,
                   "recordings to leave out, such as BAMI1_5,BAMI1_15; by default those that the "
                   "source knows to be wrong; none: keep all")
      ->delimiter(',');
  prepare->add_option("--lag", flags->lag_s,
                      "seconds by which labels fit later windows than they name, for all "
                      "recordings; by default what the source knows");
  prepare
      ->add_option("--max-gap", flags->max_gap_s,
                   "of samples with times: seconds between two above which nothing is "
                   "interpolated, and windows that reach into the gap are left out")
      ->capture_default_str();
  AddCsvOptions(*prepare, flags->csv);
  prepare->callback([&context, flags] { Prepare(context, *flags); });
}

}  // namespace retort
