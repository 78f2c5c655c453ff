#include "worker/runner/protocol.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace retort::runner {
namespace {

using testing::HasSubstr;

TEST(ProtocolTest, NumbersThatAreNotFiniteSurviveBothWays) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  v1::RunnerEvent event;
  for (double value : {std::nan(""), kInfinity, -kInfinity, 0.1}) {
    event.mutable_progress()->add_points()->set_value(value);
  }
  const std::string line = PrintEvent(event);
  EXPECT_THAT(line, HasSubstr("\"NaN\""));
  EXPECT_THAT(line, HasSubstr("\"Infinity\""));
  EXPECT_THAT(line, HasSubstr("\"-Infinity\""));
  v1::RunnerEvent back;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(line, &back).ok());
  EXPECT_TRUE(std::isnan(back.progress().points(0).value()));
  EXPECT_EQ(back.progress().points(1).value(), kInfinity);
  EXPECT_EQ(back.progress().points(2).value(), -kInfinity);
  EXPECT_EQ(back.progress().points(3).value(), 0.1);
  // And as a command.
  const auto command = ParseCommand(
      R"({"run":{"spec":{"method":{"scratch":{"sigma":"NaN"}},"train":{"peak_lr":"Infinity"}}}})");
  ASSERT_TRUE(command.ok()) << command.error();
  EXPECT_TRUE(std::isnan(command->run().spec().method().scratch().sigma()));
  EXPECT_EQ(command->run().spec().train().peak_lr(), kInfinity);
}

TEST(ProtocolTest, AnEventIsOneLine) {
  const std::string line = PrintEvent(FailedEvent(v1::FAILURE_CAUSE_NUMERIC, "two\nlines"));
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_EQ(line.back(), '\n');
}

TEST(ProtocolTest, MessagesAreCutAndCleanedToPrintableText) {
  const auto message = [](const std::string& text) {
    v1::RunnerEvent back;
    const std::string line = PrintEvent(FailedEvent(v1::FAILURE_CAUSE_INVALID, text));
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(line, &back).ok()) << line;
    return back.failed().message();
  };
  EXPECT_EQ(message("caf\xc3\xa9 \xff\xc3 \xe2\x82"), "caf\xc3\xa9 ?? ??");
  EXPECT_EQ(message(std::string(4095, 'x') + "\xc3\xa9"), std::string(4095, 'x'));
  EXPECT_EQ(message(std::string(9000, 'x')).size(), 4096u);
  const auto command = ParseCommand("{\xff\xfe");
  ASSERT_FALSE(command.ok());
  EXPECT_NE(message(command.error()), "");
}

TEST(ProtocolTest, MalformedCommandsAreErrors) {
  for (const char* line : {"", "x", "{", "{}", "[]", R"({"run":3})", R"({"fly":{}})",
                           R"({"run":{"spec":{"seed":"much"}}})"}) {
    EXPECT_FALSE(ParseCommand(line).ok()) << line;
  }
  EXPECT_TRUE(ParseCommand(R"({"stop":{}})").ok());
}

}  // namespace
}  // namespace retort::runner
