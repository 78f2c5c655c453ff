#include "client/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/report/plots.h"

namespace retort::report {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Json Subjects(const std::vector<std::pair<std::string, double>>& errors) {
  Json subjects = Json::array();
  for (const auto& [subject, error] : errors) {
    subjects.push_back({{"subject", subject}, {"mae_bpm", error}});
  }
  return subjects;
}

Json ResultRow(const std::string& student, const std::string& method, const std::string& teacher,
               int seed, double validation,
               const std::vector<std::pair<std::string, double>>& errors) {
  double sum = 0;
  for (const auto& [subject, error] : errors) sum += error;
  return {{"kind", "student"},
          {"student", student},
          {"method", method},
          {"teacher", teacher.empty() ? Json(nullptr) : Json(teacher)},
          {"train", nullptr},
          {"seed", seed},
          {"fold", 0},
          {"selected", true},
          {"mae_bpm", sum / static_cast<double>(errors.size())},
          {"val_mae_bpm", validation},
          {"params_body", student == "mlp-8x1" ? 1000 : 2000},
          {"subjects", Subjects(errors)}};
}

Json NetworkRow(const std::string& student, const std::string& method, double mae, int params,
                const Json& latency) {
  return {{"kind", "student"},    {"student", student},    {"method", method},
          {"teacher", nullptr},   {"train", nullptr},      {"jobs", 2},
          {"mae_bpm", mae},       {"mae_argmax_bpm", mae}, {"mae_all_channels_bpm", nullptr},
          {"within_5_bpm", 0.5},  {"params", params},      {"macs", 10},
          {"latency_ms", latency}};
}

Input SmallInput() {
  Input input;
  input.sweep = "small";
  input.made = "today";
  input.rows = {ResultRow("mlp-8x1", "scratch", "", 0, 6, {{"a", 4}, {"b", 8}}),
                ResultRow("mlp-8x1", "scratch", "", 1, 6, {{"a", 6}, {"b", 10}}),
                ResultRow("mlp-16x1", "scratch", "", 0, 3, {{"a", 2}}),
                ResultRow("mlp-16x1", "scratch", "", 1, 5, {{"b", 5}})};
  input.networks = {NetworkRow("mlp-8x1", "scratch", 7, 1180, 0.2),
                    NetworkRow("mlp-16x1", "scratch", 3.5, 2180, nullptr)};
  input.claims_problem = "no claims here";
  input.agreement.problem = "no estimates here";
  input.spec = "{}";
  return input;
}

TEST(ReportTest, BestStudentIsChosenOnValidationNotOnTest) {
  Input input = SmallInput();
  EXPECT_EQ(BestStudent(input.rows).model, "mlp-16x1");
  for (Json& row : input.rows) {
    if (row["student"] == "mlp-16x1") row["val_mae_bpm"] = 7;
  }
  EXPECT_EQ(BestStudent(input.rows).model, "mlp-8x1") << "although its test error is larger";
  for (Json& row : input.rows) row["val_mae_bpm"] = nullptr;
  EXPECT_EQ(BestStudent(input.rows).model, "mlp-16x1") << "nothing but the test is there";
  for (Json& row : input.rows) row["selected"] = false;
  EXPECT_EQ(BestStudent(input.rows).model, "");
}

TEST(ReportTest, ParetoFrontKeepsWhatNothingUndercuts) {
  EXPECT_THAT(ParetoFront({{3, 1}, {1, 5}, {2, 6}, {2, 4}, {1, 5}, {4, 1}}), ElementsAre(1, 3, 0));
  EXPECT_TRUE(ParetoFront({}).empty());
}

TEST(ReportTest, PointsAreSeedsThatSawAllSubjects) {
  const auto charts = SizeCharts(SmallInput());
  ASSERT_EQ(charts.size(), 1u);
  ASSERT_EQ(charts[0].series.size(), 1u);
  std::vector<std::pair<double, double>> points;
  for (const auto& point : charts[0].series[0].points) points.emplace_back(point.x, point.y);
  // 16x1: each seed saw one subject, so that only their mean is a point.
  EXPECT_THAT(points, testing::UnorderedElementsAre(std::pair(2000.0, 3.5), std::pair(1000.0, 6.0),
                                                    std::pair(1000.0, 8.0)));
}

TEST(ReportTest, LawsAreDrawnNearTheirDataAlone) {
  Input input = SmallInput();
  Json predictions = Json::array();
  for (const double size : {100.0, 1000.0, 4000.0, 9000.0}) {
    predictions.push_back({{"size", size}, {"loss", 5}, {"low", 4}, {"high", 6}});
  }
  input.laws = {{{"family", "mlp"},
                 {"method", "scratch"},
                 {"teacher", nullptr},
                 {"points", {{{"size", 1000}}, {{"size", 2000}}}},
                 {"predictions", predictions}}};
  const auto charts = SizeCharts(input);
  const Series& band = charts.at(0).series.at(0);
  EXPECT_EQ(band.kind, Series::Kind::kBand);
  EXPECT_EQ(band.points.size(), 2u);
  EXPECT_EQ(band.points[0].low, 4);
  EXPECT_EQ(charts[0].series.at(1).kind, Series::Kind::kLine);
}

TEST(ReportTest, NetworksWithoutLatencyAreMissingFromThatPlotAlone) {
  const auto charts = CostCharts(SmallInput());
  ASSERT_EQ(charts.size(), 2u);
  EXPECT_EQ(charts[0].series.at(1).points.size(), 1u);
  EXPECT_EQ(charts[1].series.at(1).points.size(), 2u);
  EXPECT_EQ(charts[1].series[1].points[0].x, 4 * 1180);
}

TEST(ReportTest, AgreementIsBiasAndLimits) {
  Agreement agreement;
  for (const double difference : {-1.0, 1.0, 3.0, 5.0}) {
    agreement.points.push_back({100, 100 + difference});
  }
  // Mean 2, standard deviation sqrt(20 / 3).
  EXPECT_THAT(AgreementText(agreement),
              HasSubstr("Bias 2.00 BPM, 95 % limits of agreement -3.1 to 7.1 BPM, over 4"));
  const Chart chart = AgreementChart(agreement);
  EXPECT_EQ(chart.series.at(0).points.at(3).y, 5);
  EXPECT_EQ(chart.series[0].points[3].x, 102.5);
  agreement.points.resize(20000, {100, 100});
  EXPECT_LE(AgreementChart(agreement).series[0].points.size(), 4000u);
}

TEST(ReportTest, HtmlIsOneFileInWhichNoTextIsMarkup) {
  Input input = SmallInput();
  input.sweep = "<b>bold</b>";
  input.description = "</script><script>alert(1)</script>";
  input.rows[0]["method"] = "</script><img src=x>";
  const std::string html = Html(MakeReport(input));
  EXPECT_THAT(html, HasSubstr("&lt;b&gt;bold&lt;/b&gt;"));
  EXPECT_THAT(html, Not(HasSubstr("<b>bold")));
  EXPECT_THAT(html, Not(HasSubstr("alert(1)</script>")));
  EXPECT_THAT(html, Not(HasSubstr("<img src=x")));
  EXPECT_THAT(html, HasSubstr("\\u003c/script>"));
  for (const char* outside : {"src=\"http", "href=\"http", "@import", "url("}) {
    EXPECT_THAT(html, Not(HasSubstr(outside))) << "it must open offline";
  }
  EXPECT_THAT(html, HasSubstr("new Chart(canvas"));
  EXPECT_THAT(html, HasSubstr("Chart.js v3"));
}

TEST(ReportTest, ClaimsSayTheirAnswersPartsAndReasons) {
  Input input = SmallInput();
  input.claims_problem = "";
  input.claims = {{{"claim", 1},
                   {"statement", "Distilled students beat their scratch twins."},
                   {"answer", "not resolved"},
                   {"reason", nullptr},
                   {"warnings", {"one seed"}},
                   {"parts",
                    {{{"of", "dkd"},
                      {"scope", "all"},
                      {"compared_with", "scratch"},
                      {"effect", 0.5},
                      {"low", -0.25},
                      {"high", 1.25},
                      {"unit", "BPM"},
                      {"answer", "not resolved"},
                      {"reason", "it flips with the decoding"}}}}}};
  const std::string text = Markdown(MakeReport(input));
  EXPECT_THAT(text, HasSubstr("C1, not resolved: Distilled students beat their scratch twins."));
  EXPECT_THAT(text,
              HasSubstr("| C1 | dkd | all | scratch | 0.50 [-0.25, 1.25] BPM | not resolved |"));
  EXPECT_THAT(text, HasSubstr("- it flips with the decoding"));
  EXPECT_THAT(text, HasSubstr("- one seed"));
}

TEST(ReportTest, MarkdownHasTheTablesAndNoMarkupOfOthers) {
  Input input = SmallInput();
  input.networks[0]["method"] = "a|b *c*";
  input.spec = "```\nx";
  const std::string text = Markdown(MakeReport(input));
  EXPECT_THAT(text, HasSubstr("# small"));
  EXPECT_THAT(text, HasSubstr("| student | mlp-8x1 | a\\|b \\*c\\* | - | 2 | 7.00 |"));
  EXPECT_THAT(text, HasSubstr("````\n```\nx\n````"));
  EXPECT_THAT(text, HasSubstr("no claims here"));
  EXPECT_THAT(text, Not(HasSubstr("canvas")));
}

}  // namespace
}  // namespace retort::report
