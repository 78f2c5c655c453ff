#include "client/cli/table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

namespace retort {
namespace {

struct Output {
  std::ostringstream out, err;
  Context context{.terminal = Terminal{out, err}};
};

const std::vector<Column> kColumns = {{"name", "name", 0, {}}, {"mae", "MAE", 2, {}}};

TEST(TableText, AlignsTextLeftAndNumbersRight) {
  Output output;
  const std::vector<Json> rows = {{{"name", "a"}, {"mae", 3.14159}},
                                  {{"name", "longer"}, {"mae", 12.0}}};
  EXPECT_EQ(TableText(rows, kColumns, output.context.terminal),
            "name      MAE\n"
            "a        3.14\n"
            "longer  12.00\n");
}

TEST(TableText, CutsTextOnATerminalAndNowhereElse) {
  Output output;
  const std::vector<Json> rows = {{{"name", std::string(100, 'x')}, {"mae", 1.5}}};
  EXPECT_NE(TableText(rows, kColumns, output.context.terminal).find(std::string(100, 'x')),
            std::string::npos);
  Terminal narrow{output.out, output.err, true, false, false, 30};
  std::istringstream lines(TableText(rows, kColumns, narrow));
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(ShownWidth(line), 30u) << line;
    EXPECT_TRUE(line.find("MAE") != std::string::npos || line.find("…  1.50") != std::string::npos);
  }
}

TEST(TableText, LeavesOutWhatTellsLeastWhereATerminalIsTooNarrow) {
  Output output;
  const std::vector<Column> columns = {{"name", "name", 0, {}},
                                       {"same", "same", 0, {}},
                                       {"spare", "spare", 0, {}, Room::kSpare},
                                       {"verdict", "verdict", 0, {}, Room::kNeeded}};
  const std::vector<Json> rows = {
      {{"name", "one"}, {"same", "always"}, {"spare", "x"}, {"verdict", "no"}},
      {{"name", "two"}, {"same", "always"}, {"spare", "y"}, {"verdict", "no"}}};
  const auto head = [&](int width) {
    const Terminal terminal{output.out, output.err, true, false, false, width};
    const std::string text = TableText(rows, columns, terminal);
    return text.substr(0, text.find('\n'));
  };
  EXPECT_EQ(head(80), "name  same    spare  verdict");
  EXPECT_EQ(head(24), "name  same    verdict");
  EXPECT_EQ(head(14), "name  verdict");
  EXPECT_EQ(head(5), "name  verdict") << "a verdict is never left out";
}

TEST(TableText, ShowsControlCharactersInsteadOfObeyingThem) {
  Output output;
  const std::vector<Json> rows = {{{"name", "a\x1b[31m"}, {"mae", nullptr}}};
  EXPECT_EQ(TableText(rows, kColumns, output.context.terminal), "name       MAE\na\\x1b[31m  -\n");
}

TEST(CsvText, QuotesWhatNeedsItAndLeavesNullEmpty) {
  const std::vector<Json> rows = {
      {{"name", "a,\"b\""}, {"mae", nullptr}, {"list", Json::array({1, 2})}}};
  EXPECT_EQ(CsvText(rows, {}), "name,mae,list\r\n\"a,\"\"b\"\"\",,\"[1,2]\"\r\n");
  EXPECT_EQ(CsvText({}, {"name"}), "name\r\n");
}

TEST(EmitRows, NeverWritesNanToJson) {
  Output output;
  output.context.format = Format::kJson;
  EmitRows(output.context, {{{"name", "a"}, {"mae", Number(std::nan(""))}}}, kColumns);
  const Json parsed = Json::parse(output.out.str());
  EXPECT_TRUE(parsed[0]["mae"].is_null());
  EXPECT_EQ(output.out.str().find("NaN"), std::string::npos);
}

TEST(EmitRows, WritesTextThatIsNoUtf8) {
  Output output;
  output.context.format = Format::kJsonl;
  EmitRows(output.context, {{{"name", "a\xff"}}}, kColumns);
  EXPECT_TRUE(Json::accept(output.out.str()));
}

}  // namespace
}  // namespace retort
