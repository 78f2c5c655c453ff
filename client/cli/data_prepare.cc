#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/commands.h"
#include "client/cli/data_output.h"
#include "client/data/bami.h"
#include "client/data/ieee_spc_2015.h"
#include "client/data/prepare.h"
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
};

absl::StatusOr<PrepareOptions> OptionsOf(const Flags& flags) {
  PrepareOptions options;
  const auto filter = ParseFilterMode(flags.filter);
  if (!filter.ok()) return Annotate(filter.status(), "--filter");
  options.filter = *filter;
  options.channels = flags.channels;
  options.lag_s = flags.lag_s;
  if (flags.leave_out == std::vector<std::string>{"none"}) {
    options.leave_out.emplace();
  } else if (!flags.leave_out.empty()) {
    options.leave_out = flags.leave_out;
  }
  return options;
}

absl::StatusOr<Dataset> PrepareFrom(const Flags& flags) {
  RETORT_ASSIGN_OR_RETURN(const PrepareOptions options, OptionsOf(flags));
  if (flags.source == "bami") return PrepareBami(flags.from, options);
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

}  // namespace

void AddPrepareCommand(CLI::App& group, Context& context) {
  CLI::App* prepare = group.add_subcommand("prepare", "original recordings to a prepared dataset");
  const auto flags = std::make_shared<Flags>();
  prepare
      ->add_option("SOURCE", flags->source,
                   "ieee-spc-2015: the IEEE Signal Processing Cup's MAT files; bami: BAMI1_n.mat, "
                   "labels 1 s earlier, 5, 15 and 25 left out (misaligned)")
      ->required()
      ->check(CLI::IsMember({"ieee-spc-2015", "bami"}));
  prepare->add_option("--from", flags->from, "folder with the original files")->required();
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
  prepare->callback([&context, flags] { Prepare(context, *flags); });
}

}  // namespace retort
