#include "client/cli/fit_csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "client/cli/commands.h"
#include "client/cli/fit_rows.h"

namespace retort {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

FitCsvColumns Columns() { return {"loss", "n", "", {}, ""}; }

std::string ErrorOf(const std::string& text, const FitCsvColumns& columns = Columns()) {
  const auto groups = ReadFitCsv(text, "f.csv", columns);
  EXPECT_EQ(groups.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(groups.status().message());
}

TEST(ReadFitCsv, ReadsQuotesBlankLinesAndGroups) {
  FitCsvColumns columns = Columns();
  columns.groups = {"method"};
  const auto groups = ReadFitCsv(
      "\xEF\xBB\xBFn,loss,method\r\n1e3,5,\"a, \"\"b\"\"\"\r\n\r\n2000, 4.5,c\n3e3,4,\"a, "
      "\"\"b\"\"\"",
      "f.csv", columns);
  ASSERT_TRUE(groups.ok()) << groups.status();
  ASSERT_THAT(*groups, SizeIs(2));
  EXPECT_THAT((*groups)[0].values, ElementsAre("a, \"b\""));
  ASSERT_THAT((*groups)[0].rows, SizeIs(2));
  EXPECT_EQ((*groups)[0].rows[1].size, 3000);
  EXPECT_EQ((*groups)[1].rows[0].loss, 4.5);
  EXPECT_EQ((*groups)[0].points_are, scaling::PointsAre::kRows);
  EXPECT_NE((*groups)[0].rows[0].subject, (*groups)[0].rows[1].subject);
}

TEST(ReadFitCsv, ClustersThatHaveEverySizeAreMeans) {
  FitCsvColumns columns = Columns();
  columns.cluster = "who";
  const std::string crossed = "n,loss,who\n1,5,a\n2,4,a\n1,6,b\n2,5,b\n1,3,c\n";
  EXPECT_EQ((*ReadFitCsv(crossed, "f", columns))[0].points_are, scaling::PointsAre::kMeans);
  const std::string nested = "n,loss,who\n1,5,a\n2,4,b\n3,4,b\n";
  EXPECT_EQ((*ReadFitCsv(nested, "f", columns))[0].points_are, scaling::PointsAre::kRows);
}

TEST(ReadFitCsv, ErrorsNameLineColumnValueAndWhatWouldBeRight) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("f.csv: it is empty"));
  EXPECT_THAT(ErrorOf("n,loss\n"), HasSubstr("no rows"));
  EXPECT_THAT(ErrorOf("n,los\n1,2\n"),
              AllOf(HasSubstr("f.csv:1: no column 'loss' (--loss)"), HasSubstr("n, los")));
  EXPECT_THAT(ErrorOf("n;loss\n1;2\n"), HasSubstr("n;loss; fields must be separated by ','"));
  EXPECT_THAT(ErrorOf("n,loss,n\n1,2,3\n"), HasSubstr("two columns are named 'n'"));
  EXPECT_THAT(ErrorOf("n,loss\n1,2\n1\n"), HasSubstr("f.csv:3: 1 fields; the first line names 2"));
  EXPECT_THAT(ErrorOf("n,loss\n1,\"a\n2,3"), HasSubstr("f.csv:2: a quote"));
  for (const std::string value : {"nan", "inf", "-1", "0", "abc", "1x", "1e999"}) {
    EXPECT_THAT(ErrorOf("n,loss\n1,2\n\n3," + value + "\n"),
                AllOf(HasSubstr("f.csv:4: column 'loss': '" + value + "'"),
                      HasSubstr("a positive, finite number is needed")));
  }
  EXPECT_THAT(ErrorOf("n,loss\n,2\n"), HasSubstr("column 'n': empty"));
}

class FitCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::temp_directory_path() /
            ("retort_fit_" + std::to_string(::testing::UnitTest::GetInstance()->random_seed()) +
             ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".csv");
  }
  void TearDown() override { std::filesystem::remove(path_); }

  // The exit code; what was written is in out_ and err_.
  int Fit(const std::string& text, std::vector<std::string> args) {
    std::ofstream(path_) << text;
    args.insert(args.begin(), {"fit", "--csv", path_.string(), "--loss", "loss", "--size", "n"});
    out_.str("");
    err_.str("");
    Context context{.terminal = {.out = out_, .err = err_}};
    return RunCommandLine(args, context);
  }

  static std::string PowerLaw() {
    std::string text = "n,loss\n";
    for (int i = 0; i < 40; ++i) {
      const double n = 1000 * std::pow(1.2, i);
      text += std::to_string(n) + "," +
              std::to_string((3 + 200 / std::sqrt(n)) * (1 + 0.001 * ((i * 7) % 5 - 2))) + "\n";
    }
    return text;
  }

  std::filesystem::path path_;
  std::ostringstream out_, err_;
};

TEST_F(FitCommand, GroupsMayHaveAnyName) {
  std::string text = "n,loss,size\n";
  for (int i = 0; i < 30; ++i) {
    const double n = 1000 * std::pow(1.3, i);
    text += std::to_string(n) + "," + std::to_string(3 + 200 / std::sqrt(n)) + ",big\n";
  }
  EXPECT_EQ(Fit(text, {"--group", "size", "--predict", "1e6"}), kDone) << err_.str();
  EXPECT_NE(out_.str().find("What the laws say of other sizes"), std::string::npos);
  EXPECT_NE(out_.str().find("big"), std::string::npos);
  ASSERT_EQ(Fit(text, {"--group", "size", "-o", "json"}), kDone) << err_.str();
  const Json row = Json::parse(out_.str())[0];
  EXPECT_EQ(row["group_size"], "big");
  EXPECT_EQ(row["size"], "n");
}

TEST_F(FitCommand, JsonHasParametersIntervalsResidualsAndConvergence) {
  ASSERT_EQ(Fit(PowerLaw(), {"-o", "json", "--resamples", "200", "--predict", "1e7", "--smallest",
                             "loss<=3.5"}),
            kDone)
      << err_.str();
  const Json row = Json::parse(out_.str())[0];
  EXPECT_EQ(row["form"], "power");
  EXPECT_NEAR(row["E"].get<double>(), 3, 0.05);
  EXPECT_LT(row["alpha_low"], 0.5);
  EXPECT_GT(row["alpha_high"], 0.5);
  EXPECT_EQ(row["parameters"][2]["name"], "alpha");
  EXPECT_TRUE(row["parameters"][2]["standard_error"].is_number());
  EXPECT_TRUE(row["aicc"].is_number());
  EXPECT_EQ(row["points"].size(), 40u);
  EXPECT_TRUE(row["points"][0]["residual"].is_number());
  EXPECT_EQ(row["convergence"]["resamples"], 200);
  EXPECT_EQ(row["candidates"].size(), 3u);
  EXPECT_EQ(row["intervals_by"], "bootstrap");
  EXPECT_NEAR(row["predictions"][0]["loss"].get<double>(), 3 + 200 / std::sqrt(1e7), 0.05);
  EXPECT_EQ(row["predictions"][0]["beyond_data"], true);
  EXPECT_NEAR(row["smallest"]["without_confidence"].get<double>(), 160000, 16000);
  EXPECT_GE(row["smallest"]["size"], row["smallest"]["without_confidence"]);
}

TEST_F(FitCommand, TheTableSaysTheLawAndWhatWasAsked) {
  ASSERT_EQ(Fit(PowerLaw(), {"--form", "exp-log", "--predict", "1e7", "--resamples", "100"}), kDone)
      << err_.str();
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("exp(-k * log10 N)"), HasSubstr("k 1.1"),
                                HasSubstr("beyond the data")));
}

TEST_F(FitCommand, DegenerateDataAndWrongFlagsEndInAClearError) {
  EXPECT_EQ(Fit("n,loss\n1,2\n1,3\n1,4\n", {}), kUsage);
  EXPECT_THAT(err_.str(), HasSubstr("1 distinct size"));
  EXPECT_EQ(Fit("n,loss\n1,2\n2,2\n3,2\n", {}), kUsage);
  EXPECT_THAT(err_.str(), HasSubstr("the loss is 2 at all 3 sizes"));
  EXPECT_EQ(Fit(PowerLaw(), {"--form", "powr"}), kUsage);
  EXPECT_THAT(err_.str(), HasSubstr("known: power, exp"));
  EXPECT_EQ(Fit(PowerLaw(), {"--predict", "1,2"}), kUsage);
  EXPECT_THAT(err_.str(), HasSubstr("--predict: '1,2'"));
  EXPECT_EQ(Fit(PowerLaw(), {"--smallest", "mae<=5"}), kUsage);
  EXPECT_THAT(err_.str(), HasSubstr("loss<=5"));
  EXPECT_EQ(Fit(PowerLaw(), {"--form", "power2"}), kUsage);
  EXPECT_THAT(err_.str(), HasSubstr("--size2: missing"));
  EXPECT_EQ(Fit(PowerLaw(), {"--confidence", "1.5"}), kUsage);
  EXPECT_THAT(err_.str(), HasSubstr("confidence: 1.5"));
}

}  // namespace
}  // namespace retort
