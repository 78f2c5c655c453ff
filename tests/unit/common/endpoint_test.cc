// What an HTTP client gets.
#include "common/metrics/endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/testing/monitoring.h"

namespace retort {
namespace {

TEST(EndpointTest, AnswersWithReadingsOfTheMoment) {
  int asked = 0;
  const auto endpoint = MetricsEndpoint::Start(
      "127.0.0.1:0", std::make_shared<prometheus::Registry>(),
      {{"retort_asked", "How often.", false, [&asked] {
          return std::vector<Reading::Value>{{"by", "us", static_cast<double>(++asked)}};
        }}});
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  EXPECT_THAT(HttpGet((*endpoint)->port(), "/metrics"),
              testing::HasSubstr("# TYPE retort_asked gauge\nretort_asked{by=\"us\"} 1\n"));
  EXPECT_THAT(HttpGet((*endpoint)->port(), "/metrics"), testing::HasSubstr("{by=\"us\"} 2\n"));
}

TEST(EndpointTest, AnAddressThatIsTakenIsTold) {
  const auto first =
      MetricsEndpoint::Start("127.0.0.1:0", std::make_shared<prometheus::Registry>(), {});
  const std::string address = absl::StrCat("127.0.0.1:", (*first)->port());
  const auto second = MetricsEndpoint::Start(address, std::make_shared<prometheus::Registry>(), {});
  EXPECT_THAT(std::string(second.status().message()), testing::HasSubstr(address));
}

TEST(EndpointTest, AnAddressThatOthersReachMustBeMeant) {
  EXPECT_TRUE(CheckMetricsAddress("127.0.0.1:9100", false).ok());
  EXPECT_TRUE(CheckMetricsAddress("127.0.0.1:0", false).ok());
  EXPECT_FALSE(CheckMetricsAddress("0.0.0.0:0", false).ok());
  EXPECT_THAT(std::string(CheckMetricsAddress("0.0.0.0:9100", false).message()),
              testing::HasSubstr("--metrics 0.0.0.0:9100: other machines reach this address"));
  EXPECT_TRUE(CheckMetricsAddress("0.0.0.0:9100", true).ok());
  EXPECT_THAT(std::string(CheckMetricsAddress("9100", true).message()),
              testing::StartsWith("--metrics"));
}

}  // namespace
}  // namespace retort
