#include "common/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>

#include "spdlog/sinks/ostream_sink.h"

namespace retort {
namespace {

using Json = nlohmann::json;

class JsonLogTest : public testing::Test {
 protected:
  JsonLogTest() : logger_("test", std::make_shared<spdlog::sinks::ostream_sink_st>(text_)) {
    logger_.set_formatter(MakeJsonFormatter("retort-worker", "w1"));
  }
  // The one line that was written.
  Json Line() {
    const std::string text = text_.str();
    text_.str("");
    EXPECT_EQ(text.find('\n'), text.size() - 1) << text;
    return Json::parse(text);
  }

  std::ostringstream text_;
  spdlog::logger logger_;
};

TEST_F(JsonLogTest, ALineIsOneObject) {
  logger_.warn("two\nlines, \"quoted\", a wrong byte \xff and \x1b[31m");
  const Json line = Line();
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["program"], "retort-worker");
  EXPECT_EQ(line["worker"], "w1");
  EXPECT_EQ(line["message"], "two\nlines, \"quoted\", a wrong byte \xef\xbf\xbd and \x1b[31m");
  EXPECT_THAT(line["time"].get<std::string>(), testing::MatchesRegex("20..-..-..T..:..:..\\....Z"));
  EXPECT_FALSE(line.contains("job"));
  EXPECT_FALSE(line.contains("attempt"));
  EXPECT_FALSE(line.contains("sweep"));
}

TEST_F(JsonLogTest, LinesCarryWhatTheyAreAboutAsLongAsItLives) {
  const std::string job(64, 'a');
  {
    const LogAbout sweep({.sweep = "s", .worker = "w2"});
    const LogAbout attempt({.job = job, .attempt = 3});
    logger_.info("in it");
    const Json line = Line();
    EXPECT_EQ(line["sweep"], "s");
    EXPECT_EQ(line["worker"], "w2");
    EXPECT_EQ(line["job"], job);
    EXPECT_EQ(line["attempt"], 3);
    std::thread([&] { logger_.info("elsewhere"); }).join();
    EXPECT_FALSE(Line().contains("job")) << "another thread is about something else";
  }
  logger_.info("after it");
  EXPECT_FALSE(Line().contains("job"));
}

TEST(LogTest, NamesTheFlagThatIsWrong) {
  EXPECT_EQ(StartLogging({.program = "p", .level = "loud"}).message(),
            "--log-level loud: expected trace, debug, info, warn or error");
  EXPECT_EQ(StartLogging({.program = "p", .format = "xml"}).message(),
            "--log-format xml: expected text or json");
}

}  // namespace
}  // namespace retort
