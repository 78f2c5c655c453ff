// retort: the command line.
#include <cstring>
#include <string>
#include <vector>

#include "client/cli/commands.h"
#include "client/cli/process.h"

int main(int argc, char** argv) {
  // What ChildProcess::Start runs; not a command for people.
  if (argc > 1 && std::strcmp(argv[1], "__child") == 0) return retort::BecomeChild(argc, argv);
  retort::Context context{.terminal = retort::Terminal::OfProcess()};
  return retort::RunCommandLine(std::vector<std::string>(argv + 1, argv + argc), context,
                                retort::ConfigPlace::OfProcess());
}
