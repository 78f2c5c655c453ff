// ChildProcess starts its children by way of this very program, as `retort` does; and what a signal
// does to a command is seen in a process of its own.
#include <gtest/gtest.h>

#include <cstring>

#include "client/cli/commands.h"
#include "client/cli/process.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "__child") == 0) return retort::BecomeChild(argc, argv);
  if (argc > 2 && std::strcmp(argv[1], "__retort") == 0) {
    retort::Context context{.terminal = retort::Terminal::OfProcess(),
                            .choice = {.coordinator = argv[2]}};
    return retort::RunCommandLine({argv + 3, argv + argc}, context);
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
