#include "worker/runner/inbox.h"

#include <gtest/gtest.h>

namespace retort::runner {
namespace {

constexpr char kStop[] = R"({"stop":{}})";

TEST(InboxTest, GivesRunsAndErrorsInOrder) {
  Inbox inbox;
  inbox.Put(R"({"run":{"job":"a"}})");
  inbox.Put("junk");
  inbox.Put(R"({"run":{"job":"b"}})");
  EXPECT_EQ(std::get<v1::RunJob>(inbox.Take()).job(), "a");
  inbox.Done();
  EXPECT_TRUE(std::holds_alternative<Error>(inbox.Take()));
  inbox.Done();
  EXPECT_EQ(std::get<v1::RunJob>(inbox.Take()).job(), "b");
}

TEST(InboxTest, AStopIsForTheAttemptInHandAlone) {
  Inbox inbox;
  inbox.Put(kStop);
  EXPECT_FALSE(inbox.stop()) << "nobody to stop";
  inbox.Put(R"({"run":{}})");
  EXPECT_FALSE(inbox.stop());
  inbox.Take();
  inbox.Put(kStop);
  EXPECT_TRUE(inbox.stop());
  inbox.Done();
  EXPECT_FALSE(inbox.stop());
}

TEST(InboxTest, AStopThatOvertakesItsRunCounts) {
  Inbox inbox;
  inbox.Put(R"({"run":{}})");
  inbox.Put(kStop);
  inbox.Take();
  EXPECT_TRUE(inbox.stop());
}

}  // namespace
}  // namespace retort::runner
