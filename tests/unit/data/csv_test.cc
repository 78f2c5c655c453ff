#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "client/data/csv_file.h"
#include "client/data/csv_recording.h"
#include "common/status.h"
#include "tests/unit/data/mat_test_files.h"

namespace retort {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kBidmc[] = RETORT_SOURCE_DIR "/../shared/data/bidmc/bidmc_01_Signals.csv";

TEST(ParseCsv, TakesSpacesMarksAndMissingCells) {
  const auto table =
      ParseCsv("\xEF\xBB\xBFTime [s], \"PLETH\"\r\n0, 1.5\r\n0.5,\r\n\n1,nan\n", "f");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_THAT(table->names, ElementsAre("Time [s]", "PLETH"));
  EXPECT_THAT(table->columns[0], ElementsAre(0, 0.5, 1));
  EXPECT_EQ(table->columns[1][0], 1.5);
  EXPECT_TRUE(std::isnan(table->columns[1][1]));
  EXPECT_TRUE(std::isnan(table->columns[1][2]));
  EXPECT_EQ(*table->Find("PLETH"), 1u);
  EXPECT_EQ(*table->Find("2"), 1u);
  EXPECT_THAT(MessageOf(table->Find("pleth").status()),
              HasSubstr("no column 'pleth'; its columns are: Time [s], PLETH"));
  EXPECT_THAT(ParseCsv("1;2\n3;4", "f")->columns[1], ElementsAre(2, 4));
}

TEST(ParseCsv, SaysWhichLineIsWrong) {
  const auto error = [](std::string_view text) { return MessageOf(ParseCsv(text, "f").status()); };
  EXPECT_THAT(error(""), HasSubstr("f: no row"));
  EXPECT_THAT(error("a,b\n"), HasSubstr("f: no row"));
  EXPECT_THAT(error("a,b\n1,2\n3\n"), HasSubstr("f, line 3: 1 cells; must be 2"));
  EXPECT_THAT(error("a,b\n1,x\n"), HasSubstr("f, line 2, column b: 'x'; must be a number"));
}

class PrepareCsvTest : public testing::Test {
 protected:
  // 20 s at 50 Hz, 90 BPM: 7 windows.
  void Write(int bad_row = -1) {
    std::string rows = "t,green,red\n", bpm = "bpm\n";
    for (int i = 0; i < 1000; ++i) {
      absl::StrAppend(&rows, i / 50.0, ",", i == bad_row ? "" : absl::StrCat(std::sin(i * 0.1885)),
                      ",", std::cos(i * 0.1885), "\n");
    }
    for (int i = 0; i < 7; ++i) absl::StrAppend(&bpm, i == 6 ? "nan" : "90", "\n");
    WriteBytes(source_.path, rows);
    WriteBytes(source_.bpm_path, bpm);
  }
  std::string Error() const { return MessageOf(PrepareCsv(source_, {}).status()); }

  std::string folder_ = EmptyTestFolder();
  CsvSource source_{folder_ + "/run.csv", "t", {}, {"green", "red"}, folder_ + "/bpm.csv", ""};
};

TEST_F(PrepareCsvTest, LeavesOutMissingSamplesAndLabels) {
  Write();
  auto d = PrepareCsv(source_, {});
  ASSERT_TRUE(d.ok()) << d.status();
  EXPECT_EQ(d->windows_count, 6);
  EXPECT_THAT(d->channels, ElementsAre("green", "red"));
  EXPECT_THAT(d->subjects, ElementsAre("run"));
  EXPECT_NEAR(d->fft_bpm_WC[4], 90, 1);
  Write(50);  // second 1: window 0
  d = PrepareCsv(source_, {});
  EXPECT_EQ(d->windows_count, 5);
  EXPECT_EQ(d->metadata.at("windows_left_out"),
            R"({"run":"1 with missing samples, 1 without a label"})");
}

TEST_F(PrepareCsvTest, TakesARateForTimes) {
  Write();
  const auto timed = PrepareCsv(source_, {});
  source_.time_column.clear();
  source_.rate_hz = 50;
  source_.subject = "ann";
  const auto d = PrepareCsv(source_, {});
  ASSERT_TRUE(d.ok()) << d.status();
  EXPECT_EQ(d->windows_WCL, timed->windows_WCL);
  EXPECT_THAT(d->subjects, ElementsAre("ann"));
}

TEST_F(PrepareCsvTest, SaysWhatIsMissing) {
  Write();
  const auto error = [&](auto change) {
    CsvSource source = source_;
    change(source);
    return MessageOf(PrepareCsv(source, {}).status());
  };
  EXPECT_THAT(error([](auto& s) { s.rate_hz = 50; }), HasSubstr("exactly one of --time"));
  EXPECT_THAT(error([](auto& s) { s.time_column.clear(); }), HasSubstr("exactly one of --time"));
  EXPECT_THAT(error([](auto& s) { s.ppg.clear(); }), HasSubstr("--ppg"));
  EXPECT_THAT(error([](auto& s) { s.ppg = {"blue"}; }), HasSubstr("no column 'blue'"));
  EXPECT_THAT(error([](auto& s) { s.bpm_path.clear(); }),
              AllOf(HasSubstr("--bpm FILE"), HasSubstr("retort model predict")));
  WriteBytes(source_.bpm_path, "90\n90\n90\n90\n90\n90\n90\n90\n");
  EXPECT_THAT(Error(), AllOf(HasSubstr("bpm.csv"), HasSubstr("8 labels")));
  WriteBytes(source_.bpm_path, "1,2\n");
  EXPECT_THAT(Error(), HasSubstr("bpm.csv: 2 columns; must have one"));
}

TEST_F(PrepareCsvTest, ReadsBidmcWhoseTimesAreRounded) {
  if (!std::filesystem::exists(kBidmc)) {
    GTEST_SKIP() << "SKIPPED: no real recording at " << kBidmc;
  }
  std::string bpm;
  for (int i = 0; i < 237; ++i) absl::StrAppend(&bpm, "91\n");
  WriteBytes(source_.bpm_path, bpm);
  source_.path = kBidmc;
  source_.time_column = "Time [s]";
  source_.ppg = {"PLETH"};
  const auto d = PrepareCsv(source_, {});
  ASSERT_TRUE(d.ok()) << d.status();
  EXPECT_EQ(d->windows_count, 237);
  EXPECT_NEAR(d->fft_bpm_WC[100], 91, 4);
}

}  // namespace
}  // namespace retort
