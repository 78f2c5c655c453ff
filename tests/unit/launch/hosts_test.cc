#include "client/launch/hosts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace retort {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(HostsTest, OneALineWithWhatIsSpecial) {
  const auto hosts = ParseHosts(
      "# the lab\nalpha\n\nada@beta.example.org slots=4 device=cuda:0,cuda:1  # two GPUs\n"
      "alpha folder=/scratch/ada/second\n");
  ASSERT_TRUE(hosts.ok()) << hosts.status();
  ASSERT_EQ(hosts->size(), 3u);
  EXPECT_EQ((*hosts)[0].name, "alpha");
  EXPECT_EQ((*hosts)[0].slots, 0);
  EXPECT_EQ((*hosts)[0].folder, ".retort-worker");
  EXPECT_EQ((*hosts)[1].name, "ada@beta.example.org");
  EXPECT_EQ((*hosts)[1].slots, 4);
  EXPECT_EQ((*hosts)[1].device, "cuda:0,cuda:1");
  EXPECT_EQ((*hosts)[2].folder, "/scratch/ada/second");
}

TEST(HostsTest, WhatIsWrongIsNamedWithItsLine) {
  const std::pair<const char*, const char*> wrong[] = {
      {"", "no host"},
      {"alpha\n-oProxyCommand=reboot", "line 2: '-oProxyCommand=reboot' is no host"},
      {"alpha;reboot", "line 1: 'alpha;reboot' is no host"},
      {"alpha slots=0", "line 1: slots: '0'; expected a number"},
      {"alpha slots", "line 1: slots: ''"},
      {"alpha cores=4", "'cores=4'; expected slots=N, device=D or folder=F"},
      {"alpha device=", "'device='"},
      {"alpha\nalpha slots=2", "line 2: alpha is there already"},
  };
  for (const auto& [text, message] : wrong) {
    EXPECT_THAT(std::string(ParseHosts(text).status().message()), HasSubstr(message)) << text;
  }
}

TEST(HostsTest, StartNamesNoSecretAndQuotesWords) {
  Host host{.name = "alpha", .slots = 2, .device = "cuda:0", .folder = "a b"};
  WorkerCommand worker{.access = "/home/ada/secret/worker.access"};
  worker.more = {"--cache-gib", "5"};
  const std::string command = StartCommand(host, worker);
  EXPECT_THAT(command, HasSubstr(" retort-launch 'a b' worker.access retort-worker --folder . "
                                 "--slots 2 --device cuda:0 --access worker.access --cache-gib 5"));
  EXPECT_THAT(command, Not(HasSubstr("secret")));
  worker.access.clear();
  worker.coordinator = "head:7641";
  EXPECT_THAT(StartCommand(host, worker), HasSubstr(" 'a b' '' retort-worker "));
}

TEST(HostsTest, AnswerIsTheLastOfItsKind) {
  EXPECT_EQ(*LaunchAnswer("Welcome!\nretort-launch: started as process 17\nbye\n"),
            "started as process 17");
  EXPECT_FALSE(LaunchAnswer("Welcome!\n").ok());
}

}  // namespace
}  // namespace retort
