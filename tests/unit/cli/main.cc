// ChildProcess starts its children by way of this very program, as `retort` does.
#include <gtest/gtest.h>

#include <cstring>

#include "client/cli/process.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "__child") == 0) return retort::BecomeChild(argc, argv);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
