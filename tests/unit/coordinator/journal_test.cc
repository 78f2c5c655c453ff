#include "server/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "common/hash.h"
#include "common/log.h"
#include "server/strand.h"
#include "spdlog/sinks/ostream_sink.h"
#include "tests/unit/coordinator/full_store.h"

namespace retort {
namespace {

using Json = nlohmann::json;

// A strand whose journal is read back.
class JournalTest : public testing::Test {
 protected:
  JournalTest() : before_(spdlog::default_logger()) {
    auto sink = std::make_shared<spdlog::sinks::ostream_sink_st>(text_);
    auto logger = std::make_shared<spdlog::logger>("journal", std::move(sink));
    logger->set_formatter(MakeJsonFormatter("retort-server", ""));
    logger->set_level(spdlog::level::debug);
    spdlog::set_default_logger(std::move(logger));
    EXPECT_TRUE(strand_.Load(now_).ok());
    strand_.Serve(now_);
  }
  ~JournalTest() override { spdlog::set_default_logger(before_); }

  static StrandOptions WithJournal() {
    StrandOptions options;
    options.journal = LogChanges;
    return options;
  }
  void Run(core::Input input) {
    std::vector<Strand::Item> items(1);
    items[0].token = ++token_;
    items[0].input = std::move(input);
    if (auto* sync = std::get_if<core::Sync>(&items[0].input)) sync->token = token_;
    RunBatch(strand_, store_, std::move(items), now_);
  }
  core::Sync Hello(int wanted) {
    core::Sync sync;
    sync.worker = "w1";
    sync.incarnation = 1;
    sync.number = ++number_;
    sync.slots = {{0, "cpu", 0}};
    sync.wanted = wanted;
    return sync;
  }
  // The lines since the last call.
  std::vector<Json> Lines() {
    std::vector<Json> lines;
    std::istringstream text(text_.str());
    for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line));
    text_.str("");
    return lines;
  }

  const std::shared_ptr<spdlog::logger> before_;
  std::ostringstream text_;
  FullStore store_;
  Now now_{absl::Seconds(1000), absl::FromUnixSeconds(1'700'000'000)};
  Strand strand_{store_, WithJournal()};
  core::Token token_ = 0;
  int64_t number_ = 0;
};

TEST_F(JournalTest, TellsOfSweepsWorkersAndAttemptsInFields) {
  const JobId id(Sha256Of("job"));
  auto spec = std::make_shared<v1::SweepSpec>();
  spec->set_name("one");
  auto jobs = std::make_shared<std::vector<core::NewJob>>(1);
  (*jobs)[0].id = id;
  Run(core::BeginSweep{.request_id = "request", .spec = spec, .jobs = 1});
  Run(core::SweepChunk{.sweep = {1}, .jobs = jobs});
  std::vector<Json> lines = Lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["sweep"], "one");
  EXPECT_EQ(lines[0]["message"], "sweep one is active");

  Run(Hello(1));
  lines = Lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["message"], "worker w1 is new: 1 slots, version ");
  EXPECT_EQ(lines[0]["worker"], "w1");
  EXPECT_EQ(lines[1]["level"], "debug");
  EXPECT_EQ(lines[1]["job"], id.hex());
  EXPECT_EQ(lines[1]["attempt"], 1);
  EXPECT_EQ(lines[1]["worker"], "w1");

  core::Sync failed = Hello(0);
  core::FinishedReport report;
  report.id = {id, 1};
  report.cause = core::FailureCause::kNumeric;
  report.message = "loss is NaN at step 7";
  failed.finished = {report};
  Run(failed);
  lines = Lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["message"], "sweep one is done");
  EXPECT_EQ(lines[1]["level"], "warning");
  EXPECT_EQ(lines[1]["job"], id.hex());
  EXPECT_EQ(lines[1]["attempt"], 1);
  EXPECT_EQ(lines[1]["worker"], "w1");
  EXPECT_EQ(lines[1]["message"], "attempt " + id.short_hex() +
                                     "/1 on w1 failed: numeric: loss is NaN at step 7; the job is "
                                     "failed");
}

TEST_F(JournalTest, SaysNothingOfWhatWasNotCommitted) {
  store_.full = true;
  Run(Hello(0));
  for (const Json& line : Lines()) EXPECT_FALSE(line.contains("worker")) << line;
  store_.full = false;
  now_.monotonic += absl::Seconds(10);
  Run(Hello(0));
  EXPECT_EQ(Lines().at(0)["worker"], "w1");
}

TEST_F(JournalTest, AWorkerThatGoesAwayIsTold) {
  Run(Hello(0));
  Lines();
  for (int i = 0; i < 200; ++i) {
    now_.monotonic += absl::Seconds(1);
    RunBatch(strand_, store_, {}, now_);
  }
  const std::vector<Json> lines = Lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["message"], "worker w1 is away");
}

}  // namespace
}  // namespace retort
